"""Benchmarks: each module asks one question. ``python -m bench`` asks them all."""
