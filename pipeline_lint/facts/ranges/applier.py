"""Applying a row of the table of operations to values: dtypes under autocast, gradients, numbers, and the record."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.floats import DEFAULT_DTYPE, LIMITS
from pipeline_lint.facts.operations import OPERATIONS
from pipeline_lint.facts.operations.modules import LEARNING, MODULES
from pipeline_lint.facts.ranges.conditions import effects
from pipeline_lint.facts.ranges.numbering import Numbers
from pipeline_lint.facts.ranges.recorder import Recorder, Use
from pipeline_lint.facts.ranges.site import Mask
from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.value import (
    NUMBER,
    OTHER,
    TENSOR,
    UNKNOWN,
    UNKNOWN_KIND,
    Evidence,
    Made,
    Operands,
    Value,
    rounded_ends,
)

_RANDOM = frozenset(
    """bernoulli dropout multinomial normal normal_ rand rand_like randint randn randn_like randperm uniform_
    gumbel_softmax exponential_ rrelu""".split()
)
"""Operations that give something else each time."""
_SAME_SHAPE = frozenset(
    "clone contiguous detach cpu cuda float double half bfloat16 to type type_as requires_grad_ item".split()
)
"""Operations whose result has the elements of the input in their places."""
_MAY_GIVE_INPUT = frozenset("contiguous cpu cuda float double half bfloat16 to type type_as requires_grad_".split())
"""Operations that give the input itself where it is as it should be, with its gradient under `no_grad` also."""
_AUTOCAST_TO_FLOAT32 = frozenset(
    """acos asin cosh cdist cosine_similarity cross_entropy cumprod cumsum dist erfinv exp expm1 group_norm kl_div
    l1_loss layer_norm log log10 log1p log2 log_softmax mse_loss nll_loss norm normalize pow prod reciprocal rsqrt sinh
    smooth_l1_loss softmax softmin softplus sum tan binary_cross_entropy_with_logits poisson_nll_loss
    cosine_embedding_loss triplet_margin_loss""".split()
)
"""What CUDA's autocast computes in float32, after torch's documentation of `torch.amp`."""
_AUTOCAST_TO_HALF = frozenset("matmul mm bmm addmm baddbmm einsum linear conv1d conv2d conv3d mv".split())
_CHOOSING = frozenset({"where", "masked_fill", "index_fill"})
"""Operations that put a number into a tensor without computing with it."""
_CONDITIONS = frozenset(
    """eq ne lt le gt ge logical_and logical_or logical_not bitwise_and bitwise_or bitwise_not isfinite isnan
    isinf""".split()
)
_ROUNDS_NUMBERS = frozenset("add sub mul div pow maximum minimum clamp clamp_min clamp_max".split())
SEQUENTIAL = "torch.nn.Sequential"
SUBMODULE = "submodule"
"""What made an attribute that holds an instance of a class of which nothing is known."""


class Applier:
    """Turns operations on values into values."""

    def __init__(self) -> None:
        self.numbers = Numbers()
        self.recorder = Recorder()
        self.function: cst.FunctionDef | None = None
        """The function that is being read."""

    def apply(self, use: Use, state: State) -> Value:
        """The result of an operation; of one that is not in the table nothing is known."""
        row = OPERATIONS.get(use.name)
        name, values = use.name, use.values
        inputs = list(values.values())
        key = (name, *(v.number for v in inputs), *(v.number for v in use.rest), *sorted(values))
        if row is None:
            result = Value(made=Made(name, use.node, tuple(inputs)), has_gradient=any(v.has_gradient for v in inputs))
            return self.numbers.numbered(result, key)
        if state.autocast is not None and name in _AUTOCAST_TO_FLOAT32:
            use = use._replace(values={key: _in_float32(value) for key, value in values.items()})
            values = use.values
        if name in _ROUNDS_NUMBERS:
            use = use._replace(values=_with_rounded_numbers(values))
            values = use.values
        result = row.transfer(Operands(use.node, values, use.rest))
        if name in _CHOOSING:
            result = _with_rounded_choice(result, inputs)
        changes: dict[str, object] = {}
        kinds = {value.kind for value in inputs if value.kind != OTHER}
        if kinds == {NUMBER} and not isinstance(use.node, cst.Call):
            changes["kind"] = NUMBER
        elif TENSOR in kinds and result.kind == UNKNOWN_KIND:
            changes["kind"] = TENSOR
        if state.autocast is not None and name in _AUTOCAST_TO_HALF:
            changes["dtype"] = state.autocast
        is_off = not state.has_gradient and name not in _MAY_GIVE_INPUT
        if is_off or (inputs and not any(value.has_gradient for value in inputs)):
            changes["has_gradient"] = False
        if row.keeps_values and "input" in values:
            source = values["input"]
            changes["number"] = source.number if name in _SAME_SHAPE else self.numbers.of(key)
            changes["root"] = source.root
        elif name not in _RANDOM:
            changes["number"] = changes["root"] = self.numbers.of(key)
        result = result.but(**changes)
        if name == "mul":
            self._mask_product(use)
        self.recorder.note(use, result, row, state, self.function)
        return result

    def apply_module(self, module: Value, node: cst.Call, arguments: list[Value], state: State) -> Value | None:
        """The result of calling a module of torch; None where it is not known what it does."""
        made = module.made
        if made is None:
            return None
        if made.operation == SEQUENTIAL:
            value = arguments[0] if arguments else UNKNOWN
            for item in made.inputs:
                value = self.apply_module(item, node, [value], state) or Value(kind=TENSOR)
            return value
        call = MODULES.get(made.operation)
        if call is None:
            return None
        given = [argument for argument in node.args if not argument.star]
        operands = {name: argument.value for name, argument in zip(call.arguments, given, strict=False)}
        values = dict(zip(call.arguments, arguments, strict=False))
        values.update(
            (name, value) for name, value in zip(call.settings, made.inputs, strict=False) if value is not UNKNOWN
        )
        result = self.apply(Use(call.operation, node, operands, values), state)
        return result.but(has_gradient=state.has_gradient) if call.operation in LEARNING else result

    def _mask_product(self, use: Use) -> None:
        """`f(x) * (x > 0)` throws away what a mask says, as `where` does."""
        one, other = use.values.get("input", UNKNOWN), use.values.get("other", UNKNOWN)
        for result, mask in ((one, other), (other, one)):
            if mask.made is not None and mask.made.operation in _CONDITIONS:
                self.recorder.mask(result, Mask(use.node, "multiply", effects(mask, is_met=True).bounds))


def _with_rounded_numbers(values: dict[str, Value]) -> dict[str, Value]:
    """Python's numbers as torch takes them to a tensor's dtype: `1 + 1e-8` is 1 beside a float32 tensor."""
    kinds = {value.kind for value in values.values()}
    if NUMBER not in kinds or len(kinds) == 1:
        return values
    dtypes = {value.dtype for value in values.values() if value.kind != NUMBER}
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    if dtype is not None and dtype not in LIMITS:
        return values
    return {key: _rounded(value, dtype) if value.kind == NUMBER else value for key, value in values.items()}


def _with_rounded_choice(result: Value, inputs: list[Value]) -> Value:
    """A tensor of which some elements are a number of Python, as its dtype holds it: 1e-9 is 0 in float16."""
    numbers = [value for value in inputs if value.kind == NUMBER and value.dtype != "bool"]
    if not numbers or (result.dtype is not None and result.dtype not in LIMITS):
        return result
    gone = next((each.zero for each in (_rounded(value, result.dtype) for value in numbers) if each.zero), None)
    low, high = rounded_ends(result.low, result.high, result.dtype)
    zero = result.zero or gone
    return result.but(low=low, high=high, zero=zero, is_nonzero=result.is_nonzero and gone is None)


def _rounded(value: Value, dtype: str | None) -> Value:
    low, high = rounded_ends(value.low, value.high, dtype)
    if (low, high) == (value.low, value.high):
        return value
    if low == high == 0:
        gone = Evidence(Confidence.CERTAIN, f"{value.low} is 0 in {dtype or DEFAULT_DTYPE}")
        return value.but(low=low, high=high, at_low=gone, at_high=gone, zero=gone)
    return value.but(low=low, high=high)


def _in_float32(value: Value) -> Value:
    return value.but(dtype="float32") if value.dtype in ("float16", "bfloat16") else value
