"""What the guard costs a healthy step, beside its peers."""
