"""What feeds a training: data loaders, their workers, and the random numbers of those."""
