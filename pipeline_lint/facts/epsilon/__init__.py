"""Small constants that keep values from an edge: where they stand, where they vanish, which clamp does their work."""
