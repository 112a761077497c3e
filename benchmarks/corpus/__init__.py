"""The checker over public PyTorch packages: `python -m benchmarks.corpus`."""
