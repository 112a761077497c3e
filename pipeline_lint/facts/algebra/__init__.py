"""Formulas that are written out, the identities they are instances of, and what their rounding costs."""
