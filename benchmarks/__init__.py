"""Benchmarks: each a command that prints a table with the peer's figure from the same run."""
