"""TRN202: the logarithm of a softmax, which `log_softmax` computes without going through 0."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Edit, Fix
from pipeline_lint.edits import safe_fix, unsafe_fix
from pipeline_lint.facts.algebra.learned_attributes import LearnedAttributes
from pipeline_lint.facts.algebra.logarithm_formulas import feeds_only_its_argument_times
from pipeline_lint.facts.code.calls import Calls, Operation
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.code.inlining import activation_place, written_again
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.code.origins import LARGEST_EPSILON, Activation, Origin, Origins
from pipeline_lint.facts.gradient_uses import loses_gradient
from pipeline_lint.facts.losses.log_doubts import is_drawn
from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.facts.trained_code import is_generation_code
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_WITNESS = "softmax([0.0, 104.0]) is exactly [0.0, 1.0] in float32, so the log of its first entry is -inf"


class LogOfSoftmax(Rule):
    """The logarithm of a softmax is -inf for every class that is unlikely enough.

    Softmax divides numbers that may be 1e45 apart, and floating point rounds the small ones to 0: in float32 a logit
    104 below the largest has probability exactly 0.0, in bfloat16 one 93 below, and in float16 17.5 suffice, which an
    untrained network reaches easily. The logarithm is then -inf and its gradient NaN, and the training is over. With
    an epsilon, as in `torch.log(softmax(x) + 1e-8)`, the loss stays finite, but its gradient vanishes just for the
    examples that the model gets most wrong; and in float16 1e-8 is 0.

    `F.log_softmax` subtracts the log of the sum instead of dividing: finite, with a finite gradient, for all finite
    logits. `F.nll_loss(F.log_softmax(x, dim=1), target)` is `F.cross_entropy(x, target)`.

    The softmax and its logarithm are found however they are spelled (function, method, `nn.Softmax(dim=1)`, an
    attribute of the module) and however far apart they stand within a function, also with reshapes, indexing, gather
    and casts in between.

    Bad:
        import torch
        import torch.nn.functional as F

        def loss(logits, target):
            return F.nll_loss(torch.log(F.softmax(logits, dim=1)), target)
    Good:
        import torch.nn.functional as F

        def loss(logits, target):
            return F.nll_loss(F.log_softmax(logits, dim=1), target)
    Exempt: a probability that was computed in another function, or bound in a branch or loop, so that it is not
        certain to be a softmax; one minus a softmax, which `log_softmax` does not compute; a clamp at the dtype's
        smallest number, `torch.finfo(p.dtype).tiny`, which costs no gradient that matters. A possible defect only,
        which `--min-confidence possible` shows: p * log(p + eps), an entropy, which is 0 at 0 as it should be; the
        probability of a token that was drawn by it; the scores of a beam search and the like, where -inf is never
        picked; logits that are a parameter, which does not get 104 apart.
    Fix: Safe, unsafe with an epsilon or clamp: `log_softmax` with the same dim and dtype. It gives the same wherever
        the old code gave finite values; where an epsilon bounded them it gives the true, larger loss, so that is
        unsafe. A softmax without a dim stays without one. A definition goes when nothing else reads it, and an operand
        that is a call gets a name, so that it is not computed twice. There is none where a variable has changed before
        the logarithm, where one of the two stands in another `with` block (autocast, no_grad), where something works
        in place on one of them or, later, on the result, which `log_softmax` keeps for the backward pass, and for log2
        and log10.
    Source: "Efficient PyTorch: Supercharging the Training Pipeline" (E. Khvedchenya, 2020), on logarithms of
        non-positive values; the figures were measured with torch 2.13 on CPU.
    """

    code = "TRN202"
    triggers = ("oftmax",)

    def check(self, source: Source) -> Iterator[Finding]:
        """Every logarithm whose argument is a softmax, with or without an epsilon."""
        if not any(word in source.text for word in ("log(", "log_(", "log2", "log10")):
            return
        origins = source.fact(Origins)
        for log in source.fact(Calls).operations("log", "log2", "log10"):
            origin = origins.origin(log.input) if log.input is not None else None
            if origin is None or origin.activation.name != "softmax" or origin.scale != 1.0:
                continue
            if 0 <= origin.offset <= LARGEST_EPSILON:
                yield _finding(source, log, origin, has_epsilon=origin.has_epsilon or origin.offset > 0)


def _finding(source: Source, log: Operation, origin: Origin, *, has_epsilon: bool) -> Finding:
    remedy = "F.log_softmax(x, dim)"
    if log.name != "log":
        remedy += f" / math.log({log.name.removeprefix('log')})"
    if has_epsilon:
        problem = f"`{log.name}` of a softmax with an epsilon has no gradient where the softmax rounds to 0"
    else:
        problem = f"`{log.name}` of a softmax is -inf, and its gradient NaN, where the softmax rounds to 0"
    return Finding(
        at=log.call,
        message=f"{problem}; write `{remedy}`",
        confidence=_confidence(source, log, origin, has_epsilon=has_epsilon),
        witness=None if has_epsilon else _WITNESS,
        fix=lambda: _fix(source, log, origin, has_epsilon=has_epsilon),
        related=activation_place(source, origin),
    )


def _confidence(source: Source, log: Operation, origin: Origin, *, has_epsilon: bool) -> Confidence:
    """How surely the softmax rounds to 0 where that matters."""
    arguments = [each for each in (log.input, *(link.inner for link in origin.links)) if each is not None]
    is_entropy = any(feeds_only_its_argument_times(source, log.call, argument) for argument in arguments)
    if has_epsilon and is_entropy:
        # p log(p + eps) is 0 at p = 0, and so is the gradient of p log p through a softmax.
        return Confidence.POSSIBLE
    if is_generation_code(source, log.call) or _is_of_parameter(source, origin):
        return Confidence.POSSIBLE
    if any(is_drawn(source, argument) for argument in arguments[:1]):
        return Confidence.POSSIBLE
    if loses_gradient(source, log.call) or (has_epsilon and _is_detached(source, log.input)):
        # A number that is reported, or one without a gradient to lose.
        return Confidence.POSSIBLE
    return Confidence.LIKELY if has_epsilon else Confidence.CERTAIN


def _is_detached(source: Source, node: cst.BaseExpression | None) -> bool:
    value = source.fact(Flow).value_of(node) if isinstance(node, cst.Name) else node
    return isinstance(value, cst.Call) and last_name(value.func) == "detach"


def _is_of_parameter(source: Source, origin: Origin) -> bool:
    """Whether the logits are a parameter of the module, such as the weights of a mixture."""
    match origin.activation.operand:
        case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)) as node:
            return source.fact(LearnedAttributes).is_learned(node, name)
    return False


def _fix(source: Source, log: Operation, origin: Origin, *, has_epsilon: bool) -> Fix | None:
    activation = origin.activation
    operations = [log] if activation.operation is None else [log, activation.operation]
    if log.name != "log" or any("out" in operation.operands for operation in operations):
        return None
    if log.is_inplace and origin.definitions:
        return None
    function, imports = _function(source, activation, at=log.call)
    ending = _ending(source, activation)
    if ending is None:
        return None

    def written(operand: str) -> str:
        if not function:
            is_atom = isinstance(
                cst.parse_expression(f"({operand})"), cst.Name | cst.Attribute | cst.Call | cst.Subscript
            )
            return f"{operand if is_atom else f'({operand})'}.log_softmax{ending[1]}"
        return f"{function}({ending[0]}{operand}{ending[1]}"

    edits = written_again(source, log.call, origin, activation=written, keeps_result=True)
    if edits is None:
        return None
    return (unsafe_fix if has_epsilon else safe_fix)("Replace with `log_softmax`", *imports, *edits)


def _function(source: Source, activation: Activation, *, at: cst.CSTNode) -> tuple[str, tuple[Edit, ...]]:
    """How to write `log_softmax` at the logarithm's place, where it is a function; else nothing."""
    operation = activation.operation
    if operation is not None and operation.is_method:
        return "", ()
    path = operation.path if operation is not None else "torch.nn.functional.softmax"
    reference = source.fact(Names).reference(path.removesuffix("softmax") + "log_softmax", at=at)
    return reference.code, reference.edits


def _ending(source: Source, activation: Activation) -> tuple[str, str] | None:
    """The code of the softmax's arguments before and after its operand; None where it cannot be written elsewhere."""
    constructor = activation.constructor
    if constructor is None:
        code, (start, end) = source.code(activation.call), source.span(activation.call)
        _, function_end = source.span(activation.call.func)
        operand_start, operand_end = source.span(activation.operand)
        operation = activation.operation
        if operation is not None and operation.is_method:
            return "", code[function_end - start :]
        before = source.text[function_end:operand_start]
        return before.partition("(")[2], source.text[operand_end:end]
    name = source.fact(Names).resolve(constructor.func)
    if name == "torch.nn.Softmax2d":
        return ("", ", dim=-3)") if not constructor.args else None
    if not constructor.args:
        return "", ")"
    argument = constructor.args[0]
    is_number = isinstance(argument.value, cst.Integer | cst.UnaryOperation)
    is_dim = argument.keyword is None or argument.keyword.value == "dim"
    if len(constructor.args) > 1 or argument.star or not is_dim or not is_number:
        return None
    return "", f", dim={source.code(argument.value)})"
