"""The checker and its fixes over all Python code of this environment: `python -m benchmarks.soak`."""
