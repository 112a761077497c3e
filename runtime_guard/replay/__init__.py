"""Runs the offending batches again and finds the operation that made the first number that is not finite."""
