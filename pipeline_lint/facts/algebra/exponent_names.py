"""What the name of an exponent says of its size: logarithms of widths and ratios, raw scores, deltas of boxes."""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.source import Source

_UNBOUNDED = re.compile(
    r"(^|_)(log_?([a-z0-9]+_)?(var|variance|std|stddev|sigma|scale|precision)s?|logs_[a-z])$"
    r"|(^|_)log_?(importance_)?(ratios|rhos?)$|^logratio$|(^|_)log_importance_ratio$|^logr$"
    r"|(^|_)logits?\d*$"
    r"|^(pred_)?(dw|dh|[a-z]*deltas?|bbox_(pred|delta)s?|box_(pred|delta|regression)s?|rel_codes)$",
    re.IGNORECASE,
)
_BOUNDED = re.compile(
    r"clip|clamp|bound|posterior|prior|^model_log|norm(ali[sz]ed)?(_|$)|schedule|^delta$", re.IGNORECASE
)
_MOVES = frozenset(
    """chunk clone contiguous detach expand expand_as flatten float double mean narrow neg permute repeat reshape select
    squeeze sum to transpose unsqueeze view mul div""".split()
)
_DEEPEST = 10


def unbounded_name(source: Source, exponent: cst.BaseExpression) -> str | None:
    """The variable that an exponent is, or is a multiple of, if its name says that nothing bounds it.

    An attribute is a parameter, which hardly moves, or of a distribution, whose logits are normalized: it says nothing.
    """
    node: cst.BaseExpression | None = exponent
    for _ in range(_DEEPEST):
        match node:
            case cst.Name(value=name):
                return name if _UNBOUNDED.search(name) and not _BOUNDED.search(name) else None
            case cst.UnaryOperation(operator=cst.Minus(), expression=inner) | cst.Subscript(value=inner):
                node = inner
            case cst.BinaryOperation(left=left, operator=cst.Multiply(), right=inner) if _is_number(left):
                node = inner
            case cst.BinaryOperation(left=inner, operator=cst.Multiply() | cst.Divide(), right=right) if _is_number(
                right
            ):
                node = inner
            case cst.Call():
                node = _moved(source, node)
            case _:
                return None
    return None


def _moved(source: Source, call: cst.Call) -> cst.BaseExpression | None:
    """What a call moves, casts, or multiplies by a number."""
    operation = source.fact(Calls).operation(call)
    if operation is None or operation.name not in _MOVES:
        return None
    is_scaled = operation.name in ("mul", "div")
    return None if is_scaled and not _is_number(operation.operands.get("other")) else operation.input


def _is_number(node: cst.BaseExpression | None) -> bool:
    return isinstance(node.expression if isinstance(node, cst.UnaryOperation) else node, cst.BaseNumber)
