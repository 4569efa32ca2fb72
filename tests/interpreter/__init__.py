"""Pools whose loops live in sub-interpreters."""
