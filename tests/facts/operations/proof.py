"""Holds what the table says of a call against what torch computes."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import libcst as cst
import torch

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.floats import LIMITS
from pipeline_lint.facts.operations import Hazard, Row
from pipeline_lint.facts.ranges.value import SEQUENCE, TENSOR, Evidence, Operands, Value
from tests.facts.operations.samples import HUGE, INFINITY, INTERVALS, SECOND, TINY, Interval, arranged
from tests.facts.operations.torch_calls import Line
from tests.facts.operations.worlds import RANDOM, Step, Table, Torch, function_named

_VARIABLES = ("x", "y", "z")
_NODE = cst.Name("call")


class Broken(AssertionError):
    """The table says what torch does not do."""


def variables_of(line: Line) -> list[str]:
    """The tensors of floats that a line takes."""
    return [name for name in _VARIABLES if re.search(rf"\b{name}\b", line.code)]


def interval_choices(num_variables: int, arrangement: str) -> list[list[Interval]]:
    """Intervals of the operands of a line."""
    if num_variables == 0:
        return [[]]
    if num_variables == 1:
        return [[interval] for interval in INTERVALS]
    if arrangement == "elementwise" and num_variables == 2:
        return [[one, other] for one in INTERVALS for other in SECOND]
    found = []
    for position, interval in enumerate(INTERVALS):
        others = [SECOND[(position + step) % len(SECOND)] for step in range(num_variables - 1)]
        found.append([interval, *others])
        if position % 3 == 0:
            found.append([interval] * num_variables)
    return found


def prove(line: Line, dtype: str, rows: Mapping[str, Row], choices: Sequence[Sequence[Interval]] | None = None) -> int:
    """Checks a line for a dtype over intervals of its operands; how many tensors torch was given.

    Raises `Broken` where the table is wrong, and `NotImplementedError` where torch does not have the operation for the
    dtype.
    """
    names = variables_of(line)
    num_tensors = 0
    if choices is None:
        choices = interval_choices(len(names), line.arrangement)
        if dtype != "float32":
            # What differs between dtypes does so in most intervals.
            choices = [*choices[:3], *choices[3::4]]
    for intervals in choices:
        named = dict(zip(names, intervals, strict=True))
        said = Said(line, dtype, rows, named)
        reached = Reached()
        for tensors in arranged(line.arrangement, dtype, tuple(intervals)):
            num_tensors += 1
            try:
                Check(line, dtype, said, named, dict(zip(names, tensors, strict=True))).run(reached)
            except torch.linalg.LinAlgError:
                # Of a singular matrix, as torch says itself.
                continue
        reached.check(line, dtype, intervals)
    return num_tensors


POLES = frozenset({"digamma", "lgamma"})
"""Functions whose hazards below 0 are at the whole numbers only."""


def prove_in_all_dtypes(line: Line, rows: Mapping[str, Row]) -> None:
    """Checks a line for all dtypes that torch has the operation for, float32 among them."""
    assert prove(line, "float32", rows) > 0
    for dtype in ("bfloat16", "float16"):
        with contextlib.suppress(NotImplementedError):
            prove(line, dtype, rows)


class Said:
    """What the table says of a line for operands in some intervals."""

    def __init__(self, line: Line, dtype: str, rows: Mapping[str, Row], intervals: dict[str, Interval]) -> None:
        values = {name: Value(low, high, dtype=dtype, kind=TENSOR) for name, (low, high) in intervals.items()}
        index = Value(0.0, 1.0, dtype="int64", kind=TENSOR, has_gradient=False)
        table = Table(rows, {**values, "index": index}, dtype)
        self.claim: Value = table.evaluate(line.code)
        self.hazards = [
            rows[step.name].hazards_for(Operands(_NODE, dict(step.operands), step.rest)) for step in table.steps
        ]


class Reached:
    """What torch gave over all tensors of one choice of intervals, and what was said to be reached for certain."""

    def __init__(self) -> None:
        self.results: dict[int, list[torch.Tensor]] = {}
        self.claims: dict[int, Value] = {}

    def note(self, position: int, claim: Value, result: torch.Tensor) -> None:
        self.claims[position] = claim
        self.results.setdefault(position, []).append(result.detach().double().reshape(-1))

    def check(self, line: Line, dtype: str, intervals: Sequence[Interval]) -> None:
        if line.name in RANDOM:
            return
        for position, claim in self.claims.items():
            numbers = torch.cat(self.results[position])
            for what, point, evidence in (
                ("low", claim.low, claim.at_low),
                ("high", claim.high, claim.at_high),
                ("zero", 0.0, claim.zero),
            ):
                if evidence is None or evidence.confidence < Confidence.CERTAIN or abs(point) == INFINITY:
                    continue
                # Ends that are no whole numbers lie a few steps outwards.
                margin = 0.0 if point in (-1.0, 0.0, 1.0) else 32 * LIMITS[dtype].eps * abs(point)
                if not bool(numbers.isnan().all()) and not bool(((numbers - point).abs() <= margin).any()):
                    raise Broken(
                        f"{line.code} of {dtype} in {intervals}: {what} {point} is not reached ({evidence.witness})"
                    )
                check_witness(evidence)


_WITNESS = re.compile(r"^(\w+)\((.+)\) is exactly (\S.*) in (\w+)$")


def check_witness(evidence: Evidence) -> None:
    """Runs a witness such as `sigmoid(17.0) is exactly 1.0 in float32`."""
    match = _WITNESS.match(evidence.witness)
    if match is None:
        return
    name, argument, result, dtype = match.groups()
    numbers = [float(number) for number in argument.strip("[]").split(",")]
    expected = [float(number) for number in result.strip("[]").split(",")]
    tensor = torch.tensor(numbers, dtype=getattr(torch, dtype))
    function = function_named(name).function
    found = function(tensor, 0) if "[" in argument else function(tensor)
    if found.tolist() != expected:
        raise Broken(f"{evidence.witness}: it is {found.tolist()}")


_MISSING = (
    "not implemented for|expected scalar type|Low precision|not supported|must be either float|expected a tensor with"
    "|doesn't handle types|ComplexHalf"
)
"""What torch says of an operation that it does not have for a dtype."""


class Check:
    """One line, one choice of intervals, one tensor for each operand."""

    def __init__(
        self, line: Line, dtype: str, said: Said, intervals: dict[str, Interval], tensors: dict[str, torch.Tensor]
    ) -> None:
        self.line, self.dtype, self.said = line, dtype, said
        self.intervals, self.tensors = intervals, tensors

    def run(self, reached: Reached) -> None:
        """Checks range, NaN, dtype, value and gradient."""
        claim = self.said.claim
        leaves, world, result = self._run_torch()
        hazards = self._in_hazards(world.steps)
        self.excused = _either(_either(hazards, self._are_huge()), self._are_tiny(world.steps))
        excused_from_range = _either(hazards, self._are_huge()) if len(leaves) == 1 else self.excused
        claims = claim.items if claim.kind == SEQUENCE and claim.items is not None else None
        outputs = list(result) if claims is not None else [result]
        for position, (each, output) in enumerate(zip(claims or [claim], outputs, strict=False)):
            tensor = _as_tensor(output)
            if tensor is None or tensor.numel() == 0:
                continue
            reached.note(position, each, tensor)
            self._check_range(each, tensor, excused_from_range)
            self._check_dtype(each, output)
            self._check_gradient(each, tensor, leaves)
        if len(world.steps) == 1 and self.line.arrangement == "elementwise":
            self._check_hazards(world.steps[0], result, leaves)

    def _run_torch(self, *, has_gradient: bool = True) -> tuple[dict[str, torch.Tensor], Torch, Any]:
        """The tensors given, what was done with them, and the result."""
        leaves = {name: tensor.detach().clone().requires_grad_(has_gradient) for name, tensor in self.tensors.items()}
        self._seed()
        world = Torch({**leaves, "index": torch.tensor([0, 1])}, self.dtype)
        try:
            return leaves, world, world.evaluate(self.line.code)
        except (RuntimeError, UserWarning) as error:
            if has_gradient and re.search(r"derivative for", str(error)):
                return self._run_torch(has_gradient=False)
            if re.search(_MISSING, str(error)):
                raise NotImplementedError(str(error)) from error
            raise

    def _seed(self) -> None:
        if any(f"{name}(" in self.line.code for name in RANDOM):
            torch.manual_seed(0)

    def _fail(self, what: str, mask: torch.Tensor, tensor: torch.Tensor, claim: Value) -> None:
        flat = mask.reshape(-1).nonzero()[:3].reshape(-1).tolist()
        inputs = {
            name: [each.reshape(-1)[i].item() for i in flat] if each.numel() == tensor.numel() else each.tolist()
            for name, each in self.tensors.items()
        }
        found = [tensor.reshape(-1)[i].item() for i in flat]
        raise Broken(
            f"{self.line.code} of {self.dtype} in {self.intervals}: {what}: torch gives {found} for {inputs}, "
            f"the table says [{claim.low}, {claim.high}], NaN {claim.nan}, gradient {claim.has_gradient}"
        )

    def _check_range(self, claim: Value, tensor: torch.Tensor, excused: torch.Tensor) -> None:
        numbers = tensor.detach().double()
        is_nan = numbers.isnan()
        outside = ~is_nan & ((numbers < claim.low) | (numbers > claim.high))
        # A range leaves out the infinities of a hazard: 1 / -0.0.
        outside &= ~(numbers.isinf() & _fitted(excused, tensor))
        if bool(outside.any()):
            self._fail("outside of its range", outside, tensor, claim)
        if claim.is_nonzero and bool((numbers == 0).any()):
            self._fail("is 0", numbers == 0, tensor, claim)
        if claim.nan is None and self.line.arrangement != "squares":
            unexpected = is_nan & ~_fitted(excused, tensor)
            if bool(unexpected.any()):
                self._fail("is NaN", unexpected, tensor, claim)

    def _check_dtype(self, claim: Value, output: object) -> None:
        if isinstance(output, torch.Tensor) and claim.dtype is not None:
            real = str(output.dtype).removeprefix("torch.")
            real = "int64" if real in ("int32", "int16", "int8", "uint8") else real
            if real != claim.dtype:
                raise Broken(f"{self.line.code} of {self.dtype} is {real}, the table says {claim.dtype}")

    def _check_gradient(self, claim: Value, tensor: torch.Tensor, leaves: dict[str, torch.Tensor]) -> None:
        excused = self.excused
        if not tensor.requires_grad or not leaves:
            return
        gradients = _gradients(tensor, leaves)
        if not claim.has_gradient:
            for gradient in gradients:
                if bool((gradient != 0).any()):
                    raise Broken(f"{self.line.code} of {self.dtype} has a gradient, the table says none")
        is_bad = ~tensor.detach().isfinite()
        if claim.nan is not None or self.line.arrangement == "squares":
            # Decompositions break at singular matrices, of which ranges say nothing.
            return
        has_bad_value = bool(is_bad.any())
        if has_bad_value and bool((is_bad & ~_fitted(excused, tensor) & ~self._overflows(tensor)).any()):
            self._fail("is not finite outside of the hazards", is_bad & ~_fitted(excused, tensor), tensor, claim)
        if self.line.arrangement != "elementwise" and has_bad_value:
            # The way to a gradient goes through the value.
            return
        for gradient in gradients:
            if bool(gradient.isfinite().all()):
                continue
            is_bad = ~gradient.isfinite() & ~_fitted(excused, gradient)
            if bool(is_bad.any()) and bool((is_bad & ~self._gradient_overflows(gradient)).any()):
                self._fail("has a gradient that is not finite outside of the hazards", is_bad, gradient, claim)

    def _overflows(self, tensor: torch.Tensor) -> torch.Tensor:
        """Where the exact result is finite, and too large for the dtype."""
        exact, _ = self._exact
        tensor_is_same = exact is not None and exact.numel() == tensor.numel()
        if not tensor_is_same:
            return torch.zeros(tensor.shape, dtype=torch.bool)
        assert exact is not None
        limit = LIMITS.get(str(tensor.dtype).removeprefix("torch."), LIMITS["float32"]).max
        return (exact.isfinite() & (exact.abs() > limit * 0.5)).reshape(tensor.shape)

    def _gradient_overflows(self, gradient: torch.Tensor) -> torch.Tensor:
        _, exact = self._exact
        limit = LIMITS[self.dtype].max * 0.5
        found = torch.zeros(gradient.shape, dtype=torch.bool)
        for each in exact:
            if each.shape == gradient.shape:
                found |= each.isfinite() & (each.abs() > limit)
        return found

    @functools.cached_property
    def _exact(self) -> tuple[torch.Tensor | None, list[torch.Tensor]]:
        """The result and its gradients in float64."""
        leaves = {name: tensor.detach().double().requires_grad_() for name, tensor in self.tensors.items()}
        self._seed()
        world = Torch({**leaves, "index": torch.tensor([0, 1])}, "float64")
        result = world.evaluate(self.line.code)
        if not isinstance(result, torch.Tensor) or not result.requires_grad:
            return None, []
        return result.detach(), _gradients(result, leaves)

    def _are_huge(self) -> torch.Tensor:
        found = torch.zeros((), dtype=torch.bool)
        for tensor in self.tensors.values():
            found = found | (tensor.abs() > HUGE[self.dtype])
        return found

    def _are_tiny(self, steps: list[Step]) -> torch.Tensor:
        """Where anything on the way is so close to 0 that its reciprocal or its square is out of range."""
        found = torch.zeros((), dtype=torch.bool)
        for step in steps:
            for tensor in step.operands.values():
                if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
                    numbers = tensor.detach().double().abs()
                    found = _either(found, (numbers > 0) & (numbers < TINY[self.dtype]))
        return found

    def _in_hazards(self, steps: list[Step]) -> torch.Tensor:
        found = torch.zeros((), dtype=torch.bool)
        for hazards, step in zip(self.said.hazards, steps, strict=True):
            for hazard in hazards:
                found = _either(found, _mask(hazard, step))
        return found

    def _check_hazards(self, step: Step, result: Any, leaves: dict[str, torch.Tensor]) -> None:
        """Whether the hazards of a row are real: where they are said to be, and what they are said to do."""
        if not isinstance(result, torch.Tensor) or not result.requires_grad:
            return
        gradients = _gradients(result, leaves)
        value = result.detach()
        for hazard in self.said.hazards[0]:
            mask = _mask(hazard, step) & torch.ones(value.shape, dtype=torch.bool)
            if self.line.name in POLES:
                mask &= next(iter(self.tensors.values())) % 1 == 0
            if not bool(mask.any()):
                continue
            is_alone = len(leaves) == 1
            self._check_kind(
                hazard, "value", hazard.value, value[mask], self._overflows(value)[mask], is_alone=is_alone
            )
            if not gradients:
                continue
            found = gradients[0]
            for other in gradients[1:]:
                found = torch.where(found.isfinite(), other, found)
            overflows = self._gradient_overflows(found)[mask]
            self._check_kind(hazard, "gradient", hazard.gradient, found[mask], overflows, is_alone=is_alone)

    def _check_kind(
        self, hazard: Hazard, what: str, kind: str, found: torch.Tensor, overflows: torch.Tensor, *, is_alone: bool
    ) -> None:
        matches = {"finite": found.isfinite(), "inf": found.isinf(), "nan": found.isnan()}[kind]
        if not is_alone or self.line.name in POLES:
            # What the other operands are decides as well.
            holds = True if kind == "finite" else bool((~found.isfinite()).any())
        else:
            holds = bool((matches | (overflows if kind == "finite" else False)).all())
        if not holds:
            raise Broken(
                f"{self.line.code} of {self.dtype} in {self.intervals}: "
                f"{what} of {hazard} is {found[~matches][:3].tolist()}"
            )


def _mask(hazard: Hazard, step: Step) -> torch.Tensor:
    tensor = step.operands.get(hazard.operand)
    if not isinstance(tensor, torch.Tensor):
        tensor = torch.tensor(float(tensor)) if isinstance(tensor, int | float) else torch.tensor(float("nan"))
    numbers = tensor.detach().double()
    return (numbers >= hazard.low) & (numbers <= hazard.high)


def _either(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    if one.ndim <= 1 and other.ndim <= 1 and (one.numel() == other.numel() or 1 in (one.numel(), other.numel())):
        return one | other
    return one.any() | other.any()


def _fitted(mask: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """A mask over the elements of a result: element by element where it has as many, else one for all."""
    if mask.ndim == 1 and mask.shape == tensor.shape:
        return mask
    return mask.any().expand(tensor.shape)


def _as_tensor(output: object) -> torch.Tensor | None:
    if isinstance(output, torch.Tensor):
        return torch.view_as_real(output) if output.is_complex() else output
    if isinstance(output, tuple | list) and output and isinstance(output[0], torch.Tensor):
        return torch.cat([each.reshape(-1).double() for each in output])
    return torch.as_tensor(output)


def _gradients(tensor: torch.Tensor, leaves: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    try:
        found = torch.autograd.grad(
            tensor, list(leaves.values()), torch.ones_like(tensor), allow_unused=True, retain_graph=True
        )
    except RuntimeError as error:
        if "derivative for" in str(error):
            return []
        raise
    return [gradient.detach() for gradient in found if gradient is not None]
