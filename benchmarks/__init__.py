"""Measurements, each with a name: `python -m benchmarks [NAME]`, or `make bench [NAME=…]`."""
