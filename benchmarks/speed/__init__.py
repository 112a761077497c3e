"""How fast the checker is, beside its peers: `python -m benchmarks.speed`."""
