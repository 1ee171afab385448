"""Measured figures: ``python -m benchmarks`` prints the table and writes ``benchmarks/results.md``."""
