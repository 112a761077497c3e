"""Measurements on real code, one command each: `corpus`, `speed`, `soak`."""
