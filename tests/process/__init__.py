"""Pools whose workers are processes: what differs there from threads, and what can go wrong there alone."""
