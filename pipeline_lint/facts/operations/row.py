"""One row of the table of operations: what an operation does to ranges, and where it or its gradient breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from pipeline_lint.facts.ranges.value import Operands, Value


class Hazard(NamedTuple):
    """A stretch of an operand's values for which the operation goes wrong; both ends belong to it.

    Outside of all hazards of a row, value and gradient are finite for finite operands, as far as nothing overflows or
    underflows on the way; but for decompositions of matrices, which break at singular ones. The range of a result
    leaves out the infinities of a hazard: `1 / x` of a positive `x` is positive, although 1 / -0.0 is -inf.
    """

    operand: str
    low: float
    high: float
    value: str
    """What the operation gives there: `finite`, `inf` or `nan`."""
    gradient: str
    """What its gradient is there."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one operation does."""

    transfer: Callable[[Operands], Value]
    """The result's range from the operands'. Never raises, whatever the operands are."""
    hazards: Callable[[Operands], tuple[Hazard, ...]] | tuple[Hazard, ...] = ()
    """Where it goes wrong; a function where that depends on an operand (the exponent of a power)."""
    keeps_values: bool = False
    """Whether it only moves, picks, copies or casts elements. Such a row returns its input's value (with another dtype,
    say), so that `made` and `root` go on; the interpreter gives it a number of its own where the shape may change."""

    def hazards_for(self, operands: Operands) -> tuple[Hazard, ...]:
        """The hazards of a call with these operands."""
        return self.hazards(operands) if callable(self.hazards) else self.hazards
