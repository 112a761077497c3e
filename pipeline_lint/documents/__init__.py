"""The kinds of file that hold Python: scripts and modules, and notebooks."""
