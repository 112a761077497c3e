"""TRN220: a log probability that is taken back to a probability, only to have its logarithm taken again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import safe_fix, unsafe_fix
from pipeline_lint.facts.code.calls import Calls, Operation
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.code.inlining import activation_place, negated_code, written_again
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.code.origins import LARGEST_EPSILON, Link, Origin, Origins
from pipeline_lint.facts.code.precedence import atom_code
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_WITNESSES = {
    "logsigmoid": "exp(logsigmoid(-104.0)) is exactly 0.0 in float32, so its log is -inf",
    "log_softmax": "exp(log_softmax([0.0, 104.0])) is exactly [0.0, 1.0] in float32, so the log of its first entry is "
    "-inf",
}
_WITNESS_HIGH = "exp(logsigmoid(20.0)) is exactly 1.0 in float32, so log(1 - p) is -inf"


class ExpOfLogsigmoid(Rule):
    """The exp of a log probability rounds to 0 or 1, and the logarithm that follows is -inf, as with a plain sigmoid.

    `F.logsigmoid(x)` and `F.log_softmax(x, dim)` are the cure for logarithms of probabilities because they never form
    the probability. Taking the exp of them forms it after all: exp(logsigmoid(x)) is sigmoid(x), and rounds just as
    early. exp(logsigmoid(-104.0)) is exactly 0.0 in float32, so its log is -inf and the gradient NaN; below -88 the
    gradient is infinite already, while the value still looks right. In bfloat16 the log is -inf from -93 on, in float16
    from -17.5 on. At the other end log(1 - p) is -inf from 17.4 on in float32, from 8.5 on in float16 and from 6.25 on
    in bfloat16. So a `sigmoid(x)` that was replaced by `F.logsigmoid(x).exp()` is no safer than before.

    Keep the log form to the end: the logarithm of the exp of a log probability is the log probability itself, and
    log(1 - exp(logsigmoid(x))) is `F.logsigmoid(-x)`. Where a loss needs the probability as well (focal losses do),
    take its exp beside the log probability, and no logarithm of it.

    Both are found however they are spelled (function, method, `nn.LogSigmoid()`, `nn.LogSoftmax(dim=1)`, an attribute
    of the module) and however far apart they stand within a function, also with reshapes, indexing and casts in
    between.

    Bad:
        import torch
        import torch.nn.functional as F

        def loss(logits, target):
            p = F.logsigmoid(logits).exp()
            return -(target * torch.log(p) + (1 - target) * torch.log(1 - p)).mean()
    Good:
        import torch.nn.functional as F

        def loss(logits, target):
            return -(target * F.logsigmoid(logits) + (1 - target) * F.logsigmoid(-logits)).mean()
    Exempt: a probability of which no logarithm is taken in the same function, such as that of a Dice loss: its exp is
        as good as a sigmoid; one minus the exp of a log_softmax, which has no log form of its own; a clamp at the
        dtype's smallest number, `torch.finfo(p.dtype).tiny`. With another clamp or an epsilon the value is finite where
        the constant is not lost to rounding, but the gradient vanishes for the logits that are most wrong: a possible
        defect, which `--min-confidence possible` shows.
    Fix: Safe, unsafe with an epsilon or clamp: the log probability takes the place of the logarithm, for 1 - p
        `F.logsigmoid` of the negated operand. The definition of the probability goes when nothing else reads it. There
        is none where a variable has changed before the logarithm, where one of the two stands in another `with` block
        (autocast, no_grad), where something works in place on one of them or on the result, and for log2 and log10,
        whose value is that of the log probability divided by `math.log(2)` or `math.log(10)`.
    Source: "Efficient PyTorch: Supercharging the Training Pipeline" (E. Khvedchenya, 2020), which recommends
        `logsigmoid(x).exp()` in place of `sigmoid(x)`; the figures were measured with torch 2.13 on CPU.
    """

    code = "TRN220"
    triggers = ("ogsigmoid", "ogSigmoid", "og_softmax", "ogSoftmax")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every logarithm whose argument is the exp of a log probability, or one minus that of a logsigmoid."""
        if "exp(" not in source.text and "exp_(" not in source.text:
            return
        origins = source.fact(Origins)
        for log in source.fact(Calls).operations("log", "log1p", "log2", "log10"):
            exp = origins.origin(log.input) if log.input is not None else None
            if exp is None or exp.activation.name != "exp" or abs(exp.scale) != 1.0:
                continue
            origin = origins.origin(exp.activation.operand)
            if origin is None or origin.activation.name not in _WITNESSES or not _is_unchanged(origin):
                continue
            if exp.scale < 0 and origin.activation.name != "logsigmoid":
                continue
            # log(scale * p + offset) is about p, or about 1 - p, when the offset is 0, or 1, or a little more.
            rest = exp.offset + (log.name == "log1p") - (exp.scale < 0)
            if 0 <= rest <= LARGEST_EPSILON:
                yield _finding(source, log, exp, origin, has_epsilon=exp.has_epsilon or rest > 0)


def _is_unchanged(origin: Origin) -> bool:
    """Whether a value is the activation itself, apart from its shape and dtype."""
    return (origin.scale, origin.offset, origin.has_epsilon) == (1.0, 0.0, False)


def _finding(source: Source, log: Operation, exp: Origin, origin: Origin, *, has_epsilon: bool) -> Finding:
    name, is_complement = origin.activation.name, exp.scale < 0
    argument = {"log1p": "-p" if is_complement else "p - 1"}.get(log.name, "1 - p" if is_complement else "p")
    remedy = "F.logsigmoid(-x)" if is_complement else name
    if log.name in ("log2", "log10"):
        remedy += f" / math.log({log.name.removeprefix('log')})"
    bound = 1 if is_complement else 0
    subject = f"`{log.name}({argument})` of `p = exp({name}(x))`"
    if has_epsilon:
        problem = f"{subject} with an epsilon has no gradient once `p` rounds to {bound}"
    else:
        gradient = "infinite" if is_complement else "NaN"
        problem = f"{subject} is -inf, and its gradient {gradient}, once `p` rounds to {bound}"
    return Finding(
        at=log.call,
        message=f"{problem}; {'write' if is_complement else 'stay with'} `{remedy}`",
        confidence=Confidence.POSSIBLE if has_epsilon else Confidence.CERTAIN,
        witness=None if has_epsilon else (_WITNESS_HIGH if is_complement else _WITNESSES[name]),
        fix=lambda: _fix(source, log, exp, origin, has_epsilon=has_epsilon),
        related=activation_place(source, exp),
    )


def _fix(source: Source, log: Operation, exp: Origin, origin: Origin, *, has_epsilon: bool) -> Fix | None:
    operations = (log, exp.activation.operation, origin.activation.operation)
    if log.name in ("log2", "log10") or any("out" in each.operands for each in operations if each is not None):
        return None
    if (log.is_inplace and exp.definitions) or exp.changes_memory or origin.changes_memory:
        return None
    make = unsafe_fix if has_epsilon else safe_fix
    if exp.scale < 0:
        reference = source.fact(Names).reference("torch.nn.functional.logsigmoid", at=log.call)
        edits = written_again(
            source,
            log.call,
            _joined(exp, origin),
            activation=lambda operand: f"{reference.code}({negated_code(operand)})",
            keeps_result=False,
        )
        return make("Replace with `logsigmoid`", *reference.edits, *edits) if edits is not None else None
    if source.fact(Flow).is_changed_later(exp.activation.operand, after=log.call):
        # The result becomes the log probability itself, and would change with it.
        return None
    edits = written_again(source, log.call, exp, activation=atom_code, keeps_result=True, new_name="log_p")
    return make(f"Keep the `{origin.activation.name}`", *edits) if edits is not None else None


def _joined(exp: Origin, origin: Origin) -> Origin:
    """From the logarithm's argument through the exp to the logsigmoid."""
    step = Link(exp.activation.call, exp.activation.operand)
    return dataclasses.replace(exp, links=(*exp.links, step, *origin.links), activation=origin.activation)
