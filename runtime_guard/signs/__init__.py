"""Early signs, one a file."""
