"""Rules about the training loop (TRN4xx)."""
