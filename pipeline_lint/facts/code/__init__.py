"""What the code says as Python: names, imports, calls, the order of events, and where a value comes from and goes."""
