"""Rules about mixed precision (TRN3xx)."""
