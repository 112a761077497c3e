"""What an expression is about, behind reshapes, casts and added dimensions."""

from __future__ import annotations

import libcst as cst

_VIEWS = frozenset(
    """view reshape unsqueeze squeeze expand expand_as float double half to type type_as detach clone flatten item
    contiguous cpu cuda data T repeat""".split()
)


def unwrapped(node: cst.BaseExpression) -> cst.BaseExpression:
    """`volume` of `volume.view(-1, 1)`, `float(volume)` and `volume[:, None]`."""
    while True:
        match node:
            case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value=name))) if name in _VIEWS:
                node = inner
            case cst.Call(func=cst.Name(value="float" | "int"), args=[cst.Arg(value=inner)]):
                node = inner
            case cst.Attribute(value=inner, attr=cst.Name(value=name)) if name in _VIEWS:
                node = inner
            case cst.Subscript(value=inner, slice=parts) if all(_keeps_all(part.slice) for part in parts):
                node = inner
            case _:
                return node


def _keeps_all(part: cst.BaseSlice) -> bool:
    """Whether a part of a subscript only adds dimensions: `None`, `...`, `:`."""
    match part:
        case cst.Index(value=cst.Ellipsis()):
            return True
        case cst.Index(value=cst.Name(value="None")):
            return True
        case cst.Slice(lower=None, upper=None, step=None):
            return True
    return False
