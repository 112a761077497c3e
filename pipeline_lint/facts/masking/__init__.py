"""Masks: how entries are filled, dropped or multiplied away, and whether that comes too late."""
