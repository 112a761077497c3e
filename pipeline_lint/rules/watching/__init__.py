"""Rules about what is seen of a training run."""
