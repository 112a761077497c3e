"""Code as an operand of other code."""

from __future__ import annotations

import libcst as cst

_ATOMS = (cst.Name, cst.Attribute, cst.Call, cst.Subscript)


def atom_code(code: str) -> str:
    """The code in the parentheses that it needs where a method may be called of it."""
    return code if isinstance(cst.parse_expression(f"({code})"), _ATOMS) else f"({code})"
