"""What is computed or stored in float16 or bfloat16, and what these types support."""
