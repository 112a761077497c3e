"""TRN207: the exponential of a value that nothing bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import replace, unsafe_fix
from pipeline_lint.facts.algebra.exponent_names import unbounded_name
from pipeline_lint.facts.algebra.exponents import Exponents
from pipeline_lint.facts.algebra.identities import Identities
from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.gradient_reach import is_given
from pipeline_lint.facts.gradient_uses import GradientUses, loses_gradient
from pipeline_lint.facts.guarding import has_comment, is_repeatable, receiver_code, shown
from pipeline_lint.facts.learned import is_learned
from pipeline_lint.facts.operations.row import Hazard
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.priors import is_log_probability
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.facts.ranges.value import INFINITY, NUMBER, OTHER, SEQUENCE, Evidence, Value, weakened
from pipeline_lint.facts.trained_code import is_optimizer_code, is_trained_code
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_EXPONENTIALS = ("exp", "exp2", "expm1", "sinh", "cosh", "pow")
_BOUND = "10.0"
"""exp(10) is 22026, which float16 holds, and a standard deviation or a scale of that size is past all use."""
_LARGEST_HELD = 80.0
"""An exponent up to here overflows in none of float32 and bfloat16."""
_WEIGHTS = Evidence(Confidence.LIKELY, "scores have no bounds, and in weights only their differences count")
_NORMALIZING = ("multinomial",)
_DEEPEST = 8
_LEARNED = re.compile(r"^(log_std|log_?alpha|logit_scale\w*|log_?temp\w*|log_?tau\w*)$", re.IGNORECASE)
"""What is one parameter of its own by custom, and not the output of a network."""
_DEVIATION = re.compile(r"log_?(std|sigma|scale|var)", re.IGNORECASE)
_NO_SCORE = re.compile(r"\blog\(|\.log\(|(\b|_)log_|max|min|standardi|normali", re.IGNORECASE)
"""What makes differences of scores, a logarithm of a density, or a mean of logarithms, of an exponent."""
_NOISE_SCHEDULE = "posterior_log_variance"
"""A name of files with a diffusion process, whose log variances lie between two of its schedule."""
_RATIO = Evidence(Confidence.LIKELY, "the log probabilities of two policies can lie more than 88 apart")
_TABLES = ("arange", "linspace")
"""Frequencies and decays are computed from these."""
_OF_LOG_PROBABILITIES = frozenset(
    "detach double flatten float gather mean reshape squeeze sum to unsqueeze view".split()
)
"""Methods whose result is a log probability like what they are called on: joint ones are sums."""
_BOUNDING = frozenset({"clamp", "clamp_max", "minimum", "clip", "nan_to_num", "min"})


class ExpOverflow(Rule):
    """The exponential of a value that nothing bounds is inf as soon as the value passes 88, in float16 already 11.

    exp(89.0) is inf in float32 and bfloat16, exp(12.0) in float16. A network does give such numbers: an output that is
    used as a log variance or a log scale has no bounds, and one bad batch, one step with too large a learning rate,
    takes it there. The difference of two log probabilities in the ratio exp(new - old) of a policy gradient and an
    energy are of the same kind. The inf is the smaller part of the trouble: the next product with
    0, the next inf - inf and the gradient of the exponential, which is inf as well, make NaN of it, and the optimizer
    puts that into every parameter.

    Bound the exponent, not the result: exp(x).clamp(max=1e4) has the right value, and the gradient inf * 0 = NaN. A
    log variance is as good with `clamp(max=10)`, a standard deviation of 148, as without; a temperature has a range
    that makes sense; a softmax or an attention subtracts the maximum, as `torch.softmax` does. `F.softplus(x)` is an
    alternative to exp for what only has to be positive: it grows like x.

    | dtype | largest x with a finite exp(x) |
    |---|---|
    | float32 | 88.7 |
    | bfloat16 | 88.5 |
    | float16 | 11.0 |

    Bad:
        import torch

        def kl_loss(mu, logvar):
            return -0.5 * (1 + logvar - mu**2 - torch.exp(logvar)).mean()
    Good:
        import torch

        def kl_loss(mu, logvar):
            return -0.5 * (1 + logvar - mu**2 - torch.exp(logvar.clamp(max=10.0))).mean()
    Exempt: exponents that are bounded above: by a clamp, a tanh, by their own maximum that was subtracted, as negative
        squares, distances and log probabilities are, by a condition; tables of frequencies and decays; numbers of
        Python; formulas that torch has a function for (unstable-identity). An exponent of which nothing is known, and
        code that is no part of training, is a possible defect, which `--min-confidence possible` shows; so are
        what is learned as it is and stays near where it began (a temperature, a scale, a row of a table), log variances
        beside a noise schedule, what another method of the class clamps, code under `no_grad`, and results that are
        only reported (`.item()`), rounded or clamped.
    Fix: Unsafe: `.clamp(max=10.0)` on an exponent that is a name, or a name times a number: results change where the
        exponent was larger, and its gradient is 0 there. 10 is a bound that all dtypes hold and that log variances and
        log scales do not need to pass; choose another where you know better. There is none for differences and other
        formulas, where the right bound, or a maximum to subtract, is a decision.
    Source: the figures were measured with torch 2.13 on CPU.
    """

    code = "TRN207"
    triggers = ("exp(", "exp_(", "expm1", "exp2", "sinh", "cosh", "exp as")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every exponential whose exponent may pass what its dtype holds."""
        if "torch" not in source.text:
            return
        for site in source.fact(Ranges).sites(*_EXPONENTIALS):
            if not isinstance(site.node, cst.Call) or _exponent_name(site) not in site.operands:
                continue
            hit = _hit(source, site)
            if hit is not None:
                yield _finding(source, site, *hit)


class _Normalized:
    """Exponentials that are weights: divided by what was computed from them, or drawn from in proportion."""

    def __init__(self, source: Source) -> None:
        ranges = source.fact(Ranges)
        self.nodes: set[int] = set()
        for site in ranges.sites("div"):
            below = _exponentials(site.values["other"])
            if below:
                self.nodes |= below & _exponentials(site.values["input"])
        for site in ranges.sites(*_NORMALIZING):
            self.nodes |= _exponentials(site.input)


def _exponentials(value: Value) -> set[int]:
    """Ids of the calls of `exp` that a value was computed from."""
    found: set[int] = set()
    waiting = [(value, 0)]
    while waiting:
        current, depth = waiting.pop()
        made = current.made
        if made is None or depth > _DEEPEST:
            continue
        if made.operation == "exp":
            found.add(id(made.node))
        else:
            waiting.extend((each, depth + 1) for each in made.inputs)
    return found


def _exponent_name(site: Site) -> str:
    return "exponent" if site.name == "pow" else "input"


def _hit(source: Source, site: Site) -> tuple[Hazard, Evidence] | None:
    """The overflow, and how surely it is reached."""
    value = site.values[_exponent_name(site)]
    if value.kind in (NUMBER, OTHER, SEQUENCE) or (site.name == "pow" and not site.input.is_constant):
        return None
    overflow = next((hazard for hazard in site.hazards if hazard.value == "inf" and hazard.low > 0), None)
    if overflow is None or site.is_masked(overflow):
        return None
    evidence = site.reached(overflow)
    if evidence is None or source.fact(Identities).covers(site.node) or is_optimizer_code(source, site.node):
        return None
    reach = source.fact(Exponents).reach(site.operands[_exponent_name(site)])
    if reach.high <= _LARGEST_HELD or reach.is_table:
        return None
    if evidence.confidence is Confidence.POSSIBLE:
        if any(word in source.code(site.node) for word in _TABLES):
            return None
        if _is_ratio(site):
            evidence = _RATIO
        elif site.name == "exp" and id(site.node) in source.fact(_Normalized).nodes and _is_of_scores(source, site):
            evidence = _WEIGHTS
        elif value.high == INFINITY:
            named = unbounded_name(source, site.operands[_exponent_name(site)])
            evidence = Evidence(Confidence.LIKELY, f"nothing bounds `{named}`") if named is not None else evidence
    return overflow, _weighed(source, site, value, evidence)


def _is_of_scores(source: Source, site: Site) -> bool:
    """Whether an exponent may be raw scores: none that were shifted, negated, taken the logarithm of, or are given."""
    operand = site.operands["input"]
    is_negated = isinstance(operand, cst.UnaryOperation) or source.code(operand).lstrip("(").startswith("-")
    if site.input.made is not None and site.input.made.operation in ("sub", "rsub"):
        return False
    if _is_of_unit_vectors(site.input):
        return False
    is_shifted = source.fact(Exponents).reach(operand).is_shifted or _NO_SCORE.search(source.code(operand)) is not None
    return not (is_negated or is_shifted or is_given(operand))


def _is_of_unit_vectors(value: Value) -> bool:
    """Whether an exponent is products with normalized vectors over a temperature: cosines, as far as one side tells."""
    made = value.made
    while made is not None and made.operation in ("mul", "div") and made.inputs:
        made = made.inputs[0].made
    if made is None or made.operation not in ("matmul", "mm", "bmm", "einsum"):
        return False
    return any(each.made is not None and each.made.operation == "normalize" for each in made.inputs)


def _weighed(source: Source, site: Site, value: Value, evidence: Evidence) -> Evidence:
    """The evidence, with what the code around says: whether it is trained, and whether the result is bounded."""
    exponent = site.operands[_exponent_name(site)]
    name = last_name(exponent)
    is_attribute = evidence.witness.startswith("nothing bounds") and _DEVIATION.search(_attribute_of(exponent))
    if (
        not is_trained_code(source, site.node)
        or source.fact(GradientUses).is_off(site.node)
        or loses_gradient(source, site.node)
        or is_attribute
        or _LEARNED.search(name)
        or is_learned(value)
        or _NOISE_SCHEDULE in source.text
        or _is_bounded_afterwards(source, site.node)
        or _is_clamped_in_class(source, exponent)
    ):
        return weakened(evidence, Confidence.POSSIBLE) or evidence
    return weakened(evidence) or evidence


def _is_clamped_in_class(source: Source, exponent: cst.BaseExpression) -> bool:
    """Whether the class around clamps what has the exponent's name: an attribute that another method passes on."""
    name, owner = last_name(exponent).strip("_"), source.enclosing(exponent, cst.ClassDef)
    if not name or owner is None:
        return False
    return any(
        name
        in (last_name(operation.operands.get("input", exponent)).strip("_"), _assigned_name(source, operation.call))
        and source.enclosing(operation.call, cst.ClassDef) is owner
        for operation in source.fact(Calls).operations("clamp", "clamp_max")
    )


def _assigned_name(source: Source, value: cst.Call) -> str:
    """The last name of what a value is assigned to."""
    assign = source.parent(value)
    return last_name(assign.targets[0].target).strip("_") if isinstance(assign, cst.Assign) else ""


def _attribute_of(node: cst.BaseExpression) -> str:
    """The attribute of an instance that an exponent is a multiple of: `self.log_scale * 2`."""
    match node:
        case cst.Attribute(attr=cst.Name(value=name)):
            return name
        case cst.UnaryOperation(expression=inner):
            return _attribute_of(inner)
        case cst.BinaryOperation(left=left, right=right):
            sides = [side for side in (left, right) if not isinstance(side, cst.BaseNumber)]
            return _attribute_of(sides[0]) if len(sides) == 1 else ""
    return ""


def _is_ratio(site: Site) -> bool:
    """Whether the exponent is the difference of two log probabilities, where it stands or by its definition."""
    value = site.values[_exponent_name(site)]
    made = value.made
    if made is None or made.operation != "sub" or not isinstance(made.node, cst.BinaryOperation):
        return False
    return all(is_log_probability(_name_of(side)) for side in (made.node.left, made.node.right))


def _name_of(node: cst.BaseExpression) -> str:
    """The last name of a value, or of the function that gives it: `policy.log_prob(action)`, `log_prob.sum(-1)`."""
    match node:
        case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value=name))) if name in _OF_LOG_PROBABILITIES:
            return _name_of(inner)
        case cst.Subscript(value=inner):
            return _name_of(inner)
    return last_name(node.func if isinstance(node, cst.Call) else node)


def _is_bounded_afterwards(source: Source, node: cst.CSTNode) -> bool:
    """Whether the result goes straight into a clamp: inf becomes its bound, and only the gradient is lost."""
    above = source.parent(node)
    call = source.parent(above) if isinstance(above, cst.Attribute | cst.Arg) else None
    return isinstance(call, cst.Call) and last_name(call.func).rstrip("_") in _BOUNDING


def _finding(source: Source, site: Site, hazard: Hazard, evidence: Evidence) -> Finding:
    exponent = shown(source, site.operands[_exponent_name(site)])
    because = f" ({evidence.witness})" if evidence.confidence > Confidence.POSSIBLE else ""
    return Finding(
        at=site.node,
        message=(
            f"`{shown(source, site.node)}` is inf once `{exponent}` passes {hazard.low:.1f}{because}; "
            "bound the exponent before, with `clamp(max=...)`"
        ),
        confidence=evidence.confidence,
        witness="exp(89.0) is inf in float32 and bfloat16, exp(12.0) in float16",
        fix=lambda: _fix(source, site),
    )


def _fix(source: Source, site: Site) -> Fix | None:
    operation = source.fact(Calls).operation(site.node)
    exponent = site.operands[_exponent_name(site)]
    if operation is None or operation.is_inplace or "out" in operation.operands or has_comment(source, exponent):
        return None
    if site.name == "pow" or not (is_repeatable(exponent) or _is_scaled_name(exponent)):
        return None
    code = f"{receiver_code(source, exponent)}.clamp(max={_BOUND})"
    return unsafe_fix("Bound the exponent", replace(source, exponent, code))


def _is_scaled_name(node: cst.BaseExpression) -> bool:
    """`0.5 * logvar`, `logvar / 2`."""
    match node:
        case cst.BinaryOperation(left=left, operator=cst.Multiply() | cst.Divide(), right=right):
            sides = (left, right)
            return any(map(_is_number, sides)) and all(map(is_repeatable, sides))
    return False


def _is_number(node: cst.BaseExpression) -> bool:
    return isinstance(node.expression if isinstance(node, cst.UnaryOperation) else node, cst.BaseNumber)
