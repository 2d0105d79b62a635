"""Benchmarks: ratios against others, both sides in one run. See README.md."""
