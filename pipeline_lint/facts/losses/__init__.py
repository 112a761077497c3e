"""Losses and what flows into them: logits, probabilities, logarithms."""
