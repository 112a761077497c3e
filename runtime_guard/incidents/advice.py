"""Which rule of pipeline-lint describes the cause of an incident, and what to do about it.

A table of plain data. The rules live in another package that this one does not import; a test checks that every code
named here is one of its rules.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime_guard.incidents.incident import Birth, TensorSummary

_HALF = ("float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class Advice:
    """A cause in words, with the rule that finds it in code where there is one."""

    text: str
    rule: str | None = None
    name: str = ""


_LOGARITHMS = {"log", "log2", "log10", "log1p", "xlogy", "logit"}
_INVERSES = {"acos", "asin", "atanh", "erfinv", "acosh"}
_ROOTS = {"sqrt", "rsqrt", "pow", "hypot", "norm", "linalg_vector_norm", "std", "var", "cdist"}
_EXPONENTIALS = {"exp", "expm1", "sinh", "cosh", "exp2"}
_SOFTMAXES = {"_softmax", "softmax", "_log_softmax", "log_softmax"}
_SUMS = {"sum", "mean", "cumsum", "norm", "linalg_vector_norm", "logsumexp", "var", "std"}
_DIVISIONS = {"div", "reciprocal", "true_divide", "addcdiv"}
MASKS = {"where", "masked_fill", "masked_select", "index", "index_select", "gather", "mul", "nan_to_num"}
_AVERAGES = {"mean", "std", "var", "median", "nanmean"}


def advise(birth: Birth) -> Advice | None:
    """What to do about a birth; None where nothing is known to help."""
    if birth.kind != "operation":
        return _SOURCE_ADVICE.get(birth.kind)
    if birth.phase == "update":
        return Advice("raise the optimizer's eps, or keep float32 parameters", "TRN214", "optimizer-epsilon")
    operation = birth.operation.rstrip("_")
    operation = operation.removeprefix("_foreach_")
    return _backward(birth, operation) if birth.phase == "backward" else _forward(birth, operation)


_SOURCE_ADVICE = {
    "input": Advice("check the data: the numbers were not finite before the model saw them"),
    "parameter": Advice("the parameter was not finite before this step: check what it was loaded or initialised from"),
    "buffer": Advice("the buffer was not finite before this step: an earlier forward pass may have poisoned it"),
    "uninitialised": Advice("fill the memory that torch.empty gives before reading it"),
    "outside": Advice("a tensor that was made before the step is not finite"),
}


def _backward(birth: Birth, operation: str) -> Advice | None:
    gradient = birth.inputs[0].value_at_bad if birth.inputs else None
    if (
        gradient == 0.0
        and _is_masked(birth)
        and operation in _LOGARITHMS | _ROOTS | _INVERSES | _EXPONENTIALS | _DIVISIONS
    ):
        return Advice(
            f"the gradient 0 of a masked element met the infinite slope of {operation}: mask the input of {operation}, "
            "not its output",
            "TRN210",
            "where-nan-gradient",
        )
    if operation in _ROOTS:
        return Advice("the slope of a root is infinite at 0: keep its input above 0", "TRN205", "sqrt-near-zero")
    if operation in _INVERSES:
        return Advice("keep the input inside the domain", "TRN209", "inverse-at-boundary")
    if operation in _LOGARITHMS:
        return Advice("the slope of a logarithm is infinite at 0: keep its input above 0", "TRN204", "log-near-zero")
    if operation in _DIVISIONS:
        return Advice("keep the divisor away from 0", "TRN206", "division-near-zero")
    return None


def _is_masked(birth: Birth) -> bool:
    """Whether only elements are bad that a mask had taken out of the result, rather than any."""
    only_masked = birth.value == "nan" and birth.output is not None and birth.output.num_inf == 0
    return only_masked and (not birth.absorber or birth.absorber in MASKS)


def _forward(birth: Birth, operation: str) -> Advice | None:
    half = birth.output is not None and birth.output.dtype in _HALF
    producer = birth.producers[0] if birth.producers else ""
    if operation in _LOGARITHMS:
        if producer == "sigmoid":
            return Advice("use logsigmoid, which does not round to log(0)", "TRN201", "log-of-sigmoid")
        if producer in _SOFTMAXES:
            return Advice("use log_softmax, which does not round to log(0)", "TRN202", "log-of-softmax")
        return Advice("keep the input of the logarithm above 0", "TRN204", "log-near-zero")
    if operation in _INVERSES:
        return Advice("keep the input inside the domain", "TRN209", "inverse-at-boundary")
    if operation in _SOFTMAXES or operation.startswith("_scaled_dot_product"):
        return Advice("a row is masked entirely: leave something for the softmax", "TRN212", "masked-softmax")
    if operation in ("std", "var") and birth.value == "nan" and not _has_infinity(birth.inputs):
        return Advice("the standard deviation of one element is NaN", "TRN217", "std-of-one")
    if operation in _AVERAGES and birth.inputs and 0 in birth.inputs[0].shape:
        return Advice("the mean of nothing is NaN: check that something was selected", "TRN211", "mean-of-empty")
    if operation in _DIVISIONS:
        return _division(birth, half=half)
    if operation in ("sqrt", "rsqrt", "pow") and (birth.value == "nan" or operation == "rsqrt"):
        return Advice("keep the input of the root above 0", "TRN205", "sqrt-near-zero")
    if half and operation in _SUMS:
        return Advice("sum in float32: dtype=torch.float32", "TRN215", "half-sum-overflow")
    if operation in _EXPONENTIALS or operation == "pow":
        return Advice("bound the exponent before", "TRN207", "exp-overflow")
    if operation in ("mul", "baddbmm", "bmm", "mm") and birth.value == "nan" and _has_infinity(birth.inputs):
        return Advice("0 * inf is NaN: mask with where, not with a product", "TRN218", "mask-by-multiplication")
    if half:
        largest = "65504" if birth.output is not None and birth.output.dtype == "float16" else "3.4e38"
        return Advice(f"the result passed {largest}, the largest number of its dtype: compute this in float32")
    return None


def _division(birth: Birth, *, half: bool) -> Advice:
    divisor = birth.producers[1] if len(birth.producers) > 1 else ""
    if half and divisor.rstrip("_") == "add":
        return Advice("the epsilon is 0 in this dtype", "TRN213", "epsilon-lost-in-half")
    if divisor in ("sum", "count_nonzero") and birth.value == "nan":
        return Advice("the mean of nothing is NaN: divide by the count clamped to 1", "TRN211", "mean-of-empty")
    return Advice("keep the divisor away from 0", "TRN206", "division-near-zero")


def _has_infinity(inputs: tuple[TensorSummary, ...]) -> bool:
    return any(summary.num_inf for summary in inputs)


RULES = {
    "TRN201": "log-of-sigmoid",
    "TRN202": "log-of-softmax",
    "TRN204": "log-near-zero",
    "TRN205": "sqrt-near-zero",
    "TRN206": "division-near-zero",
    "TRN207": "exp-overflow",
    "TRN209": "inverse-at-boundary",
    "TRN210": "where-nan-gradient",
    "TRN211": "mean-of-empty",
    "TRN212": "masked-softmax",
    "TRN213": "epsilon-lost-in-half",
    "TRN214": "optimizer-epsilon",
    "TRN215": "half-sum-overflow",
    "TRN217": "std-of-one",
    "TRN218": "mask-by-multiplication",
}
"""Codes and names of the rules that `advise` may name."""
