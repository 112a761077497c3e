"""One module for each value of `--output-format`."""
