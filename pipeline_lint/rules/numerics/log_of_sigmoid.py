"""TRN201: the logarithm of a sigmoid, which `logsigmoid` computes without going through 0 or 1."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import safe_fix, unsafe_fix
from pipeline_lint.facts.code.calls import Calls, Operation
from pipeline_lint.facts.code.inlining import activation_place, negated_code, written_again
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.code.origins import LARGEST_EPSILON, Origin, Origins
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_WITNESS_LOW = "sigmoid(-104.0) is exactly 0.0 in float32, so its log is -inf"
_FARTHEST = 15.0
"""sigmoid(16.7) is the first that rounds to 1 in float32, sigmoid(-17.4) to 0 in float16."""
_WITNESS_HIGH = "sigmoid(17.0) is exactly 1.0 in float32, so log(1 - p) is -inf"


class LogOfSigmoid(Rule):
    """The logarithm of a sigmoid is -inf as soon as the sigmoid rounds to 0 or 1.

    In exact arithmetic a sigmoid never reaches 0 or 1. In floating point it does, and early: sigmoid(17.0) is exactly
    1.0 in float32, so log(1 - p) is -inf, and sigmoid(-104.0) is exactly 0.0, so log(p) is -inf. In bfloat16 the 1.0
    comes at 6.25, in float16 at 8.5 and the 0.0 at -17.5. The gradient there is NaN, not merely large: the infinite
    slope of the logarithm meets the zero slope of the sigmoid, and infinity times zero is NaN. One such logit in a
    batch makes every parameter NaN with the next optimizer step.

    `F.logsigmoid(x)` computes the same function directly. It is finite, with a finite gradient, for every finite
    logit in every dtype. Since 1 - sigmoid(x) is sigmoid(-x), log(1 - p) is `F.logsigmoid(-x)`. If the whole expression
    is a binary cross entropy, `F.binary_cross_entropy_with_logits` is shorter still.

    The sigmoid and its logarithm are found however they are spelled (function, method, `torch.special.expit`,
    `nn.Sigmoid()`, an attribute of the module) and however far apart they stand within a function, also with reshapes
    and casts in between.

    Bad:
        import torch

        def loss(logits, target):
            p = torch.sigmoid(logits)
            return -(target * torch.log(p) + (1 - target) * torch.log(1 - p)).mean()
    Good:
        import torch.nn.functional as F

        def loss(logits, target):
            return -(target * F.logsigmoid(logits) + (1 - target) * F.logsigmoid(-logits)).mean()
    Exempt: a probability that was computed in another function, or bound in a branch or loop, so that it is not
        certain to be a sigmoid; one that is clamped at the dtype's smallest number, `torch.finfo(p.dtype).tiny`. With
        another clamp or an epsilon, as in `torch.log(p + 1e-8)`, the value is finite where the constant is not lost to
        rounding, but the gradient vanishes for the logits that are most wrong: a possible defect, which
        `--min-confidence possible` shows.
    Fix: Safe, unsafe with an epsilon or clamp: `F.logsigmoid` gives the same values and gradients wherever the old
        code gave finite ones, and the true, larger loss where an epsilon bounded it. The definition of the probability
        goes when nothing else reads it, and an operand that is a call gets a name, so that it is not computed twice.
        There is none where a variable of the operand has changed before the logarithm, where one of the two stands in
        another `with` block (autocast, no_grad), where something works in place on one of them or, later, on the
        operand, which `F.logsigmoid` keeps for the backward pass, and for log2 and log10: their value is that of
        `F.logsigmoid(x) / math.log(2)`, and whether the natural logarithm would do as well only you can know.
    Source: "Efficient PyTorch: Supercharging the Training Pipeline" (E. Khvedchenya, 2020), on careless sigmoids; the
        figures were measured with torch 2.13 on CPU.
    """

    code = "TRN201"
    triggers = ("igmoid", "expit")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every logarithm whose argument is a sigmoid or one minus a sigmoid."""
        if not any(word in source.text for word in ("log(", "log_(", "log1p", "log2", "log10")):
            return
        origins = source.fact(Origins)
        for log in source.fact(Calls).operations("log", "log1p", "log2", "log10"):
            origin = origins.origin(log.input) if log.input is not None else None
            if origin is None or origin.activation.name != "sigmoid" or abs(origin.scale) != 1.0:
                continue
            # log(scale * p + offset) is about p, or about 1 - p, when the offset is 0, or 1, or a little more.
            rest = origin.offset + (log.name == "log1p") - (origin.scale < 0)
            if 0 <= rest <= LARGEST_EPSILON and not _is_bounded(source, origin):
                yield _finding(source, log, origin, has_epsilon=origin.has_epsilon or rest > 0)


def _is_bounded(source: Source, origin: Origin) -> bool:
    """Whether what the sigmoid is of stays where it rounds to neither 0 nor 1, as a table over [-6, 6] does."""
    operation = origin.activation.operation
    site = source.fact(Ranges).site(operation.call) if operation is not None else None
    return site is not None and -_FARTHEST <= site.input.low <= site.input.high <= _FARTHEST


def _finding(source: Source, log: Operation, origin: Origin, *, has_epsilon: bool) -> Finding:
    is_complement = origin.scale < 0
    argument = {"log1p": "-p" if is_complement else "p - 1"}.get(log.name, "1 - p" if is_complement else "p")
    remedy = f"F.logsigmoid({'-' if is_complement else ''}x)"
    if log.name in ("log2", "log10"):
        remedy += f" / math.log({log.name.removeprefix('log')})"
    subject = f"`{log.name}({argument})` of a sigmoid `p`"
    bound = 1 if is_complement else 0
    if has_epsilon:
        problem = f"{subject} with an epsilon has no gradient once `p` rounds to {bound}"
    else:
        problem = f"{subject} is -inf, and its gradient NaN, once `p` rounds to {bound}"
    return Finding(
        at=log.call,
        message=f"{problem}; write `{remedy}`, where `p` is `sigmoid(x)`",
        confidence=Confidence.POSSIBLE if has_epsilon else Confidence.CERTAIN,
        witness=None if has_epsilon else (_WITNESS_HIGH if is_complement else _WITNESS_LOW),
        fix=lambda: _fix(source, log, origin, has_epsilon=has_epsilon),
        related=activation_place(source, origin),
    )


def _fix(source: Source, log: Operation, origin: Origin, *, has_epsilon: bool) -> Fix | None:
    activation = origin.activation
    operations = [log] if activation.operation is None else [log, activation.operation]
    if log.name in ("log2", "log10") or any("out" in operation.operands for operation in operations):
        return None
    if log.is_inplace and origin.definitions:
        return None
    reference = source.fact(Names).reference("torch.nn.functional.logsigmoid", at=log.call)

    def written(operand: str) -> str:
        return f"{reference.code}({negated_code(operand) if origin.scale < 0 else operand})"

    edits = written_again(source, log.call, origin, activation=written, keeps_result=False)
    if edits is None:
        return None
    return (unsafe_fix if has_epsilon else safe_fix)("Replace with `logsigmoid`", *reference.edits, *edits)
