"""Benchmarks: one file, one number, with its spread, next to a peer's number from the same run."""
