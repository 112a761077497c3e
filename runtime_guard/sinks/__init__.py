"""The sinks. Each file holds the class that is named like it."""
