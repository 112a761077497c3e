"""Numbers that are computed, kept and sent off without waiting for the device that holds them."""
