"""Tests on a Ray cluster."""
