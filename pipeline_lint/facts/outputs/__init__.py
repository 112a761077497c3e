"""What functions return, in which shapes, and which names their values could bear."""
