"""Constants that are named for masking scores, and are too small to mask any."""

from __future__ import annotations

import re
from collections.abc import Mapping

import libcst as cst

from pipeline_lint.source import Source

_MASK_VALUE = re.compile(
    r"(^|_)mask(ed|ing)?_?(val|value|fill|score|bias|num|number|logit|const|constant)s?(_|$)"
    r"|(^|_)neg(ative)?_?inf(inity|ty)?(_|$)|^_?n?inf(inity|ty)?$|(^|_)(very|large|big|huge)_neg",
    re.IGNORECASE,
)


def slipped_mask_constants(source: Source) -> Mapping[str, cst.UnaryOperation]:
    """`MASK_VALUE = -1e-7` and its like by name: the sign of the exponent has slipped."""
    found: dict[str, cst.UnaryOperation] = {}
    for assign in source.nodes(cst.Assign):
        for target in assign.targets:
            _note(found, target.target, assign.value)
    for annotated in source.nodes(cst.AnnAssign):
        _note(found, annotated.target, annotated.value)
    for parameter in source.nodes(cst.Param):
        _note(found, parameter.name, parameter.default)
    return found


def _note(found: dict[str, cst.UnaryOperation], target: cst.BaseExpression, value: cst.BaseExpression | None) -> None:
    match target, value:
        case (
            cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)),
            cst.UnaryOperation(operator=cst.Minus(), expression=cst.Float() as number),
        ) if 0 < number.evaluated_value < 0.1 and _MASK_VALUE.search(name):
            assert isinstance(value, cst.UnaryOperation)
            found[name] = value
