"""Functions of one argument, element by element: their ranges from their values at ends and turning points."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

from pipeline_lint.facts import floats
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.row import Hazard, Row
from pipeline_lint.facts.ranges.value import INFINITY, NUMBER, Evidence, Operands, Value, either

Hazards = Callable[[Operands], tuple[Hazard, ...]] | tuple[Hazard, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Saturation:
    """Arguments, by dtype, for which a function gives its limit exactly."""

    limit: float
    arguments: Mapping[str, float]
    is_certain: bool = True
    """Whether any argument of which nothing is known counts; else only one that is known to have no bound."""

    def evidence(self, name: str, dtype: str | None, evidence: Evidence | None) -> Evidence | None:
        """That the limit is reached by an argument without a bound, for which there is `evidence`."""
        argument = self.arguments.get(dtype or floats.DEFAULT_DTYPE)
        if argument is None or (evidence is None and not self.is_certain):
            return evidence
        found = results.reached_certainly(f"{name}({argument})", str(self.limit), dtype)
        return found if self.is_certain or evidence is None else Evidence(evidence.confidence, found.witness)


def saturates(limit: float, float32: float, bfloat16: float, float16: float, *, is_certain: bool = True) -> Saturation:
    """`Saturation` by the arguments in these dtypes."""
    return Saturation(limit, {"float32": float32, "bfloat16": bfloat16, "float16": float16}, is_certain)


@dataclasses.dataclass(frozen=True, slots=True)
class Curve:
    """A function that is monotone between its turning points."""

    name: str
    function: Callable[[float], float]
    domain: tuple[float, float] = (-INFINITY, INFINITY)
    """Outside of it lie hazards."""
    image: tuple[float, float] = (-INFINITY, INFINITY)
    turns: tuple[float, ...] = ()
    at_left: Saturation | None = None
    """What an argument without a lower bound gives."""
    at_right: Saturation | None = None
    keeps_zero: bool = False
    """Whether it is 0 where its argument is, and only there."""
    passes_zero: bool = False
    """Whether it is 0 where its argument is, and perhaps elsewhere."""
    steps: int = 2
    """How far from the exact result torch may be, in steps of the dtype."""
    absolute: float = 0.0
    """How far from it torch may be besides, whatever its size."""
    has_gradient: bool = True

    def transfer(self, operands: Operands) -> Value:
        """The range of the function over its input."""
        value = operands.input
        dtype = results.given_dtype(operands, results.float_dtype(value))
        working = results.working_dtype(dtype, value)
        left, right = max(value.low, self.domain[0]), min(value.high, self.domain[1])
        if left > right:
            return results.anything(operands, self.name, value, dtype=dtype)
        points = [
            (left, self._at_end(value, left, working, is_left=True)),
            (right, self._at_end(value, right, working, is_left=False)),
            *((turn, value.zero if turn == 0 else None) for turn in self.turns if left < turn < right),
        ]
        images = [(self._at(point), point, evidence) for point, evidence in points]
        if any(math.isnan(image) for image, _, _ in images):
            return results.anything(operands, self.name, value, dtype=dtype)
        low, low_point, _ = min(images, key=lambda each: each[0])
        high, high_point, _ = max(images, key=lambda each: each[0])
        new_low = self._outwards(low, low_point, working, is_low=True)
        new_high = self._outwards(high, high_point, working, is_low=False)
        if low == high and new_low < new_high:
            # Saturated at both ends, and widened: neither new end is known to be reached.
            images = []
        elif (new_low == 0 and floats.rounded(low, working) > 0) or (
            new_high == 0 and floats.rounded(high, working) < 0
        ):
            images = [each for each in images if each[0] != (low if new_low == 0 else high)]
        keeps_zero = self.keeps_zero or self.passes_zero
        return results.computed(
            operands,
            self.name,
            new_low,
            new_high,
            value,
            at_low=either(*(evidence for image, _, evidence in images if image == low)),
            at_high=either(*(evidence for image, _, evidence in images if image == high)),
            zero=value.zero if keeps_zero else None,
            is_nonzero=self.keeps_zero and value.is_nonzero,
            dtype=dtype,
            kind=results.tensor_kind(value),
            has_gradient=self.has_gradient,
        )

    def _at(self, point: float) -> float:
        try:
            return self.function(point)
        except OverflowError:
            return INFINITY
        except (ValueError, ZeroDivisionError):
            return math.nan

    def _at_end(self, value: Value, point: float, dtype: str | None, *, is_left: bool) -> Evidence | None:
        evidence, end = (value.at_low, value.low) if is_left else (value.at_high, value.high)
        if point != end:
            # The domain ends before: what lies beyond is NaN, and only 0 is known to be reached inside.
            return value.zero if point == 0 else None
        saturation = self.at_left if is_left else self.at_right
        if math.isinf(end) and saturation is not None and value.kind != NUMBER:
            return saturation.evidence(self.name, dtype, evidence)
        return evidence

    def _outwards(self, number: float, point: float, dtype: str | None, *, is_low: bool) -> float:
        if math.isinf(number):
            return number
        is_exact = number == int(number) and (math.isinf(point) or point == int(point)) and abs(number) <= 1
        number = floats.rounded(number, dtype)
        if 0 < abs(number) < results.limits_of(dtype).tiny and dtype != "float16":
            # What is too small to be normal is hardly precise, and may come out as 0.
            tiny = results.limits_of(dtype).tiny
            return (0.0 if number > 0 else -tiny) if is_low else (0.0 if number < 0 else tiny)
        if not is_exact and self.steps:
            step = floats.next_below if is_low else floats.next_above
            number = step(number, dtype, self.steps)
            if self.absolute and is_low:
                number = number - self.absolute if number <= 0 else max(number - self.absolute, 0.0)
            elif self.absolute:
                number = number + self.absolute if number >= 0 else min(number + self.absolute, 0.0)
        low, high = (
            end if math.isinf(end) or end == int(end) else step(floats.rounded(end, dtype), dtype)
            for end, step in zip(self.image, (floats.next_below, floats.next_above), strict=True)
        )
        return min(max(number, low), high)

    def row(self, hazards: Hazards = ()) -> Row:
        """The table's row."""
        return Row(self.transfer, hazards)


def rows(*curves: Curve, **hazards: Hazards) -> dict[str, Row]:
    """Rows by name; hazards by the name of the function."""
    return {curve.name: curve.row(hazards.get(curve.name, ())) for curve in curves}
