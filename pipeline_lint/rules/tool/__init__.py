"""The checker's own findings (TRN9xx)."""
