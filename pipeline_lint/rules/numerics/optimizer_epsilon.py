"""TRN214: an optimizer whose epsilon is too small to keep its division off zero."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Edit, Fix
from pipeline_lint.edits import replace, unsafe_fix
from pipeline_lint.facts.floats import rounded
from pipeline_lint.facts.half.half_parameters import HalfParameters
from pipeline_lint.facts.optimizers import EpsilonUse, adaptive_optimizers
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_USUAL = 1e-8
_PUBLISHED = 1e-9
"""What "Attention Is All You Need" gives Adam, and many after it."""
_FOR_HALF = "1e-4"
_KEEPS_FLOAT32 = re.compile(
    r"FP16_Optimizer|fp16_optimizer|fp16_utils|[Dd]eep[Ss]peed|apex|master_(?:param|weight)|[Ll]o[Rr][Aa]|peft|[Aa]dapter"
)
"""Words of files in which the optimizer is given float32 copies, or float32 layers beside a float16 model."""


class OptimizerEpsilon(Rule):
    """An Adam-like optimizer divides by its epsilon alone where a gradient is 0 or tiny, and the epsilon is too small.

    Adam moves a weight by m / (sqrt(v) + eps), where m is a mean of its gradients and v of their squares. The epsilon
    is all that is left of the divisor when v is 0, and then its size matters:

    - Weights in float16 (`model.half()`, `torch_dtype=torch.float16`): the default 1e-8 is 0 there, as the smallest
      float16 is 6e-8. A weight whose gradient is 0.0 becomes 0/0 = NaN in the first step. The squares of gradients
      below 5e-3 are 0 as well, so a weight with gradient 1e-4 becomes infinite. Adam, AdamW, NAdam, RMSprop, Adagrad
      and SparseAdam do so at once, RAdam from its sixth step on, Adamax for gradients that are 0. From 3e-8 on nothing
      is divided by 0, but a step is then up to 53000 times the learning rate, with 1e-6 up to 3000 times and RAdam
      still NaN, with 1e-4 up to 32 times.
    - bfloat16 and float32 hold 1e-8 well, and the default does no harm. With a smaller one the optimizer makes full
      steps out of noise: with eps=1e-12 a gradient of 1e-12 moves a weight by half the learning rate, with 1e-8 by one
      ten-thousandth of it. With eps=0 every weight whose gradient has been 0 so far becomes NaN, in any dtype.

    The better cure for float16 is another: keep the weights in float32 and use `torch.autocast` with a `GradScaler`,
    because with the squares of most gradients rounded to 0 Adam is hardly Adam.

    Bad:
        import torch

        def first_step(weight, gradient):
            weight = weight.detach().half().requires_grad_()
            optimizer = torch.optim.Adam([weight], lr=1e-3)
            weight.grad = gradient.half()
            optimizer.step()
            return weight
    Good:
        import torch

        def first_step(weight, gradient):
            weight = weight.detach().half().requires_grad_()
            optimizer = torch.optim.Adam([weight], lr=1e-3, eps=1e-4)
            weight.grad = gradient.half()
            optimizer.step()
            return weight
    Exempt: an epsilon that is a variable, or may be in `**kwargs`; parameters of which nothing in the same function
        (for attributes: in the same function or `__init__`) says that they are float16; `fused=True`, apex and
        bitsandbytes, which divide in float32; files with a wrapper that keeps float32 copies (DeepSpeed,
        FP16_Optimizer) or with adapters in float32 (LoRA); AdaBelief, Adafactor, LaProp and others whose epsilon has
        another place. An epsilon between 1e-9 and 1e-8 is a possible finding only: 1e-9 is the published setting of
        the Transformer, and 1e-8 hardly differs.
    Fix: Unsafe: 1e-4 for float16 parameters, else 1e-8, torch's default. Training takes another course with it.
    Source: D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization" (2015); "Efficient PyTorch: Supercharging
        the Training Pipeline" (E. Khvedchenya, 2020), on low epsilons; the figures were measured with torch 2.13 on
        CPU, with and without `foreach`.
    """

    code = "TRN214"
    triggers = ("Ada", "Lamb", "LAMB", "RMS", "DiffGrad", "NovoGrad", "Yogi", "adam_epsilon")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every optimizer that is built with an epsilon too small for its parameters, or for any."""
        for use in adaptive_optimizers(source):
            finding = _half_finding(source, use) or _small_finding(source, use)
            if finding is not None:
                yield finding


def _half_finding(source: Source, use: EpsilonUse) -> Finding | None:
    """The optimizer of float16 parameters with an epsilon that float16 does not hold."""
    value, arguments = use.value, use.call.args
    if value is None or use.optimizer.default_eps is None or rounded(value, "float16") != 0 or not arguments:
        return None
    if any(_is_true(argument, "fused") or argument.star for argument in arguments):
        return None
    if _KEEPS_FLOAT32.search(source.text):
        return None
    half = source.fact(HalfParameters).among(arguments[0].value)
    if half is None:
        return None
    given = f"`eps={source.code(use.eps)}`" if use.eps is not None else f"its default `eps={_written(value)}`"
    return Finding(
        at=use.eps or use.call.func,
        message=f"`{use.optimizer.name}` of float16 weights with {given}, which is 0 in float16, makes a weight NaN in "
        f"the first steps if its gradient is 0; keep the weights in float32 and use autocast, or write "
        f"`eps={_FOR_HALF}`",
        confidence=Confidence.CERTAIN if half.is_certain else Confidence.LIKELY,
        witness=f"{_written(value)} is exactly 0.0 in float16, so a weight with gradient 0.0 moves by 0/0 = NaN",
        fix=lambda: _fix(source, use, _FOR_HALF),
        related=((source.place(half.node), "float16 from here on"),),
    )


def _small_finding(source: Source, use: EpsilonUse) -> Finding | None:
    """The optimizer with an explicit epsilon below the usual one."""
    value = use.value
    if use.eps is None or value is None or not 0 <= value < _USUAL:
        return None
    code = source.code(use.eps)
    if value == 0:
        problem = f"`{use.keyword}={code}` makes a weight NaN in any dtype while all its gradients are 0"
        witness = "a weight whose gradients so far are 0.0 moves by 0/0 = NaN"
    else:
        problem = f"`{use.keyword}={code}` lets a weight whose gradient is only rounding noise make full steps"
        witness = (
            f"Adam moves a weight with gradient {code} by half the learning rate; with eps=1e-8 by "
            f"{_written(value / (value + _USUAL))} of it"
        )
    is_published = value >= _PUBLISHED
    return Finding(
        at=use.eps,
        message=f"{problem}; write `{use.keyword}=1e-8` or more",
        confidence=Confidence.POSSIBLE if is_published else Confidence.LIKELY,
        witness=witness,
        fix=lambda: _fix(source, use, "1e-8"),
    )


def _fix(source: Source, use: EpsilonUse, eps: str) -> Fix:
    return unsafe_fix(f"Use {use.keyword}={eps}", _edit(source, use, eps))


def _edit(source: Source, use: EpsilonUse, eps: str) -> Edit:
    if use.eps is not None:
        return replace(source, use.eps, eps)
    _, end = source.span(use.call.args[-1].value)
    return source.document.edit(end, end, f", {use.keyword}={eps}")


def _is_true(argument: cst.Arg, keyword: str) -> bool:
    return argument.keyword is not None and argument.keyword.value == keyword and not _is_false(argument.value)


def _is_false(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.Name) and node.value in ("False", "None")


def _written(number: float) -> str:
    """`1e-8` rather than `1e-08`."""
    return re.sub(r"e-0", "e-", f"{number:.1g}")
