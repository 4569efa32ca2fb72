"""The code of the README and of the documentation, run."""
