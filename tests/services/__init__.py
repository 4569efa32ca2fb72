"""Tests against servers from the system's packages; skipped where these are not installed."""
