"""What is divided by: the forms of divisors, what keeps them from zero, what they become for empty selections."""
