"""What is known about the code, computed once a file and shared by the rules."""
