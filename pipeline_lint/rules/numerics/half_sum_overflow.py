"""TRN215: a sum of float16 numbers, or of their squares, which is infinite beyond 65504."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Edit, Fix
from pipeline_lint.edits import safe_fix, unsafe_fix
from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.guarding import has_comment, receiver_code, shown, with_keyword, with_method
from pipeline_lint.facts.half.half_support import casts_up
from pipeline_lint.facts.half.half_values import (
    Square,
    is_cast_back,
    is_half,
    knows_half,
    square_below,
    wider_after,
)
from pipeline_lint.facts.half.loss_casts import cast_operands, has_cast_twin
from pipeline_lint.facts.operations.results import NORMS
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_SUMS = ("sum", "nansum", "cumsum", "prod", *sorted(NORMS))
_MEANS = ("mean", "nanmean")
_LOSSES = (
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "kl_div",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "nll_loss",
)
_WIDER = {"float32": "float", "float64": "double"}
_LONGEST = 30
_SQUARED = "300.0 ** 2 is inf in float16"
_SUMMED = "the sum of 3 times 30000.0 is inf in float16"


class HalfSumOverflow(Rule):
    """float16 ends at 65504: a sum reaches that soon, and a square already from 256 on.

    300.0 ** 2 is inf in float16. So the mean of squares, the root mean square of a normalization, the squared error and
    the squared norm of a gradient are inf for activations that are nothing special, or for gradients that a loss scale
    has made larger. A cast after the square is too late: x.square().float().mean() takes the mean of infinities in
    float32, and x.square().sum(dtype=torch.float32) adds them up. The cast belongs in front, x.float().square().

    A sum overflows as a result: inside, torch adds up in float32 and rounds in the end, so 3 times 30000.0 is inf, and
    as many as 4096 pixels with a loss of 16 each are. The same is true of `cumsum`, `prod`, `nansum`, of norms, and of
    losses with reduction="sum": F.mse_loss of 4 errors of 200 is inf. With `dtype=torch.float32` the result stays in
    float32. `mean` divides before it rounds and does not overflow: the mean of 60000.0 is 60000.0. bfloat16 and float32
    reach 3e38 and do not overflow here; in bfloat16 sums are only inexact, with 3 digits.

    Under autocast on cuda, sums, norms, `pow` and the losses run in float32; `x * x` and `x.square()` do not.

    Bad:
        import torch

        def mean_square(x):
            return x.square().float().mean(dim=-1)
    Good:
        import torch

        def mean_square(x):
            return x.float().square().mean(dim=-1)
    Exempt: values of which nothing says that they are float16; those of autocast; values that are known to be small;
        sums of values up to 1 along a dimension. What says so is a cast, a dtype, a name such as `fp16_grads` or
        `g_16`, a cast to float32 after the square, and a mean of squares that is cast back to the dtype of what was
        squared, or computed in a function that asks for float16, although nothing was ever cast to another; and for a
        mean squared error another one in the same function whose operands are cast. `F.smooth_l1_loss` and
        `F.huber_loss` do not square large errors.
    Fix: `dtype=torch.float32` for sums, `.float()` before the square, in place of the cast after it. Safe where the
        result was float32 anyway, and where it is one number, which leaves the dtype of others as it is: it is the same
        wherever it was finite, but for fewer rounding errors. Unsafe along a dimension, for a float32 tensor comes out
        that the code behind may not expect; where only a cast back tells of float16, since `.float()` would take digits
        off float64; for variances; and for a mean squared error, whose operands are cast. There is none for other
        losses (cast their arguments), with `out=`, in place, and where a comment would be lost.
    Source: the figures were measured with torch 2.13 on CPU.
    """

    code = "TRN215"
    triggers = ("half", "16", "float", "double", "dtype", "type_as")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every sum of float16 values, and every sum or mean of their squares."""
        if "torch" not in source.text:
            return
        ranges = source.fact(Ranges)
        for site in ranges.sites(*_SUMS, *_MEANS):
            if not isinstance(site.node, cst.Call) or "input" not in site.operands:
                continue
            square = square_below(source, site.input)
            if square is not None:
                finding = _of_square(source, site, square)
                if finding is not None:
                    yield finding
            elif site.name in _SUMS and _is_half_sum(source, site):
                yield _of_sum(source, site)
        for site in ranges.sites("var"):
            if site.values["input"].dtype == "float16" and isinstance(site.node, cst.Call):
                yield _of_variance(source, site)
        for site in ranges.sites(*_LOSSES):
            if "input" not in site.operands:
                continue
            if _is_summed(site) and site.input.dtype == "float16":
                yield _of_loss(source, site)
            elif site.name == "mse_loss":
                if site.result.dtype == "float16":
                    yield _of_squares(source, site)
                elif site.input.dtype is None and has_cast_twin(source, site):
                    yield _of_squares(source, site, because=" and a twin of it casts its operands to float32")


def _of_square(source: Source, site: Site, square: Square) -> Finding | None:
    """The finding for a sum or mean of squares, if something says that they are float16."""
    operand, node = square.operands[0], square.site.node
    if "view_as_real" in source.code(operand):
        # Complex numbers are not float16 in practice: torch has no Fourier transform of it on a CPU.
        return None
    later = site.input.dtype if square.site.result.dtype is None else None
    given = site.values.get("dtype")
    later = later or (given.dtype if given is not None and square.site.result.dtype is None else None)
    if square.site.result.dtype is None:
        later = later or wider_after(source, site.node)
    is_late = later in _WIDER and square.value.dtype is None
    is_back = not is_late and square.value.dtype is None and _is_back(source, site, operand)
    if not (is_late or is_back or is_half(source, operand, square.value)):
        return None
    # What is cast to float64 was float32 for likely, and a function that asks for float16 has float32 parameters.
    is_told = later == "float32" or is_cast_back(source, site.node, operand) or is_half(source, operand, square.value)
    cast = _WIDER.get(later or "", "float")
    base = receiver_code(source, operand)
    problem = f"; the cast to {later} comes after it" if is_late else ""
    return Finding(
        at=node,
        message=f"`{shown(source, node)}` is inf in float16 where `{shown(source, operand)}` is 256 or more{problem}; "
        f"square `{base if len(base) <= _LONGEST else 'x'}.{cast}()`",
        confidence=Confidence.LIKELY if is_told else Confidence.POSSIBLE,
        witness=_SQUARED,
        fix=lambda: _cast_before(source, square, cast, is_safe=is_late or (not is_back and _is_whole(site))),
    )


def _is_whole(site: Site) -> bool:
    """Whether the result is one number, whose dtype does not change that of what it is combined with."""
    return site.name != "cumsum" and "dim" not in site.operands


def _is_back(source: Source, site: Site, operand: cst.BaseExpression) -> bool:
    function = source.function_of(site.node)
    if function is None or casts_up(source.code(function)):
        return False
    is_parameter = isinstance(operand, cst.Attribute)
    return is_cast_back(source, site.node, operand) or (knows_half(source, site.node) and not is_parameter)


def _cast_before(source: Source, square: Square, cast: str, *, is_safe: bool) -> Fix | None:
    node = square.site.node
    operation = source.fact(Calls).operation(node)
    is_changed = operation is not None and (operation.is_inplace or "out" in operation.operands)
    if isinstance(node, cst.AugAssign) or is_changed or has_comment(source, node):
        return None
    edits: list[Edit] = [with_method(source, operand, f"{cast}()") for operand in square.operands]
    above = source.parent(node)
    call = source.parent(above) if above is not None else None
    if isinstance(above, cst.Attribute) and above.attr.value == cast and isinstance(call, cst.Call) and not call.args:
        edits.append(source.document.edit(source.span(node)[1], source.span(call)[1], ""))
    return (safe_fix if is_safe else unsafe_fix)("Cast before the square", *edits)


def _is_half_sum(source: Source, site: Site) -> bool:
    operand = site.operands["input"]
    if "dtype" in site.operands or not is_half(source, operand, site.input):
        return False
    is_small = site.input.low >= -1 and site.input.high <= 1
    return not is_small or (site.name == "sum" and "dim" not in site.operands)


def _of_sum(source: Source, site: Site) -> Finding:
    what = {"prod": "product", "cumsum": "sum"}.get(site.name, "norm" if site.name in NORMS else "sum")
    return Finding(
        at=site.node,
        message=f"`{shown(source, site.node)}` is inf where the {what} is above 65504, the largest float16; "
        "give it `dtype=torch.float32`",
        confidence=Confidence.LIKELY,
        witness=_SUMMED,
        fix=lambda: _in_float32(source, site),
    )


def _in_float32(source: Source, site: Site) -> Fix | None:
    operation = source.fact(Calls).operation(site.node)
    if operation is None or operation.is_inplace or "out" in operation.operands or has_comment(source, site.node):
        return None
    dtype = source.fact(Names).reference("torch.float32", at=site.node)
    fix = safe_fix if _is_whole(site) else unsafe_fix
    return fix("Add up in float32", *dtype.edits, with_keyword(source, operation.call, f"dtype={dtype.code}"))


def _of_variance(source: Source, site: Site) -> Finding:
    operand = site.operands["input"]
    return Finding(
        at=site.node,
        message=f"`{shown(source, site.node)}` is inf in float16 where the standard deviation is 256 or more; "
        "take the variance of `.float()` values",
        confidence=Confidence.LIKELY,
        witness="the variance of 300.0 and -300.0 is inf in float16, where their standard deviation is 424.2",
        fix=lambda: unsafe_fix("Cast before the variance", with_method(source, operand, "float()")),
    )


def _is_summed(site: Site) -> bool:
    reduction = site.operands.get("reduction")
    return isinstance(reduction, cst.SimpleString) and reduction.evaluated_value == "sum"


def _of_loss(source: Source, site: Site) -> Finding:
    return Finding(
        at=site.node,
        message=f"`{shown(source, site.node)}` is inf where the sum is above 65504, the largest float16; "
        "compute the loss of `.float()` values",
        confidence=Confidence.LIKELY,
        witness="the summed mse_loss of 4 errors of 200.0 is inf in float16",
    )


def _of_squares(source: Source, site: Site, *, because: str = "") -> Finding:
    """The finding for a loss of squared errors, which are taken in the dtype of its operands."""
    return Finding(
        at=site.node,
        message=f"`{shown(source, site.node)}` is inf in float16 where an error is 256 or more{because}; "
        "compute the loss of `.float()` values",
        confidence=Confidence.LIKELY,
        witness=_SQUARED,
        fix=lambda: _of_casts(source, site),
    )


def _of_casts(source: Source, site: Site) -> Fix | None:
    edits = cast_operands(source, site)
    return unsafe_fix("Compute the loss in float32", *edits) if edits else None
