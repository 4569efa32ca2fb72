"""The tests of polyloop."""
