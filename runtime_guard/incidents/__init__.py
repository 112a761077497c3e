"""What is known of a bad step: as data, as text, as a folder on disk, and run again from that."""
