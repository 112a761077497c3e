"""Where an operation is computed, with what is known of its operands there: what the rules about numbers look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import libcst as cst

from pipeline_lint.facts.operations.row import Hazard
from pipeline_lint.facts.ranges.value import Evidence, Value, narrowed

Bounds = tuple[float, float, bool]
"""The lowest and highest value that a condition leaves, and whether it excludes 0."""

DIRECT, TESTED = "direct", "tested"
_DEEPEST = 6


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Something that throws away elements of a result after it was computed: the value is cured, the gradient not."""

    node: cst.CSTNode
    kind: str
    """`where`, `index`, `multiply`, `masked_fill`, `nan_to_num`."""
    kept: Mapping[int, Bounds]
    """What the mask says of the values, by their number, where it keeps the result."""

    def hides(self, value: Value, hazard: Hazard) -> bool:
        """Whether no element whose operand `value` lies in the hazard is kept."""
        if self.kind == "nan_to_num":
            return True
        bounds = self.kept.get(value.number)
        if bounds is None:
            return False
        low, high, is_nonzero = bounds
        return narrowed(value, low, high, is_nonzero=is_nonzero).reaches(hazard.low, hazard.high) is None

    def selects_by(self, value: Value) -> bool:
        """Whether the mask compares something that `value` was computed from."""
        level = [value]
        for _ in range(_DEEPEST):
            if any(each.number in self.kept for each in level):
                return True
            level = [source for each in level if each.made is not None for source in each.made.inputs]
        return False


@dataclass(slots=True, eq=False)
class Site:
    """One call or operator of the file."""

    name: str
    """torch's name of the operation: `log`, `div`, `sum`."""
    node: cst.Call | cst.BinaryOperation | cst.AugAssign | cst.UnaryOperation
    operands: Mapping[str, cst.BaseExpression]
    """By torch's parameter names; a method's receiver is `input`."""
    values: Mapping[str, Value]
    result: Value
    hazards: tuple[Hazard, ...] = ()
    has_gradient: bool = True
    """Whether a gradient may flow through it: something asks for one, and no `no_grad` is around."""
    autocast: str | None = None
    """The dtype of the autocast region around it."""
    function: cst.FunctionDef | None = None
    masks: list[Mask] = field(default_factory=list)
    """What is done to its result later on."""
    unguarded: Mapping[str, Value] | None = None
    """Inside `torch.where`: the operands without what its condition says, as the gradient sees them."""

    @property
    def input(self) -> Value:
        return self.values["input"]

    def reached(self, hazard: Hazard) -> Evidence | None:
        """Why the operand lies in the hazard at times; None where it never does."""
        value = self.values.get(hazard.operand)
        return value.reaches(hazard.low, hazard.high) if value is not None else None

    def is_masked(self, hazard: Hazard) -> bool:
        """Whether all results that the hazard spoils are thrown away later: a matter of the gradient only."""
        value = self.values.get(hazard.operand)
        return value is not None and any(mask.hides(value, hazard) for mask in self.masks)
