"""A run as one HTML page that needs nothing else, to be sent, kept, or opened without a network."""
