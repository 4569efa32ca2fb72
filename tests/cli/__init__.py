"""The command line, run as the command that it is."""
