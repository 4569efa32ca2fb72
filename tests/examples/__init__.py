"""The programs of examples/, run."""
