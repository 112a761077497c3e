"""Guards scripts that do not know the guard, and the end of their process."""
