"""The fault matrix: what the guard and its peers say of the same injected faults."""
