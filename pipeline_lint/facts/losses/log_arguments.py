"""What names and uses say about the argument of a logarithm of which the ranges say nothing."""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.algebra.logarithm_formulas import LogarithmFormulas, factors, feeds_only_its_argument_times
from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.epsilon.guarded_values import has_epsilon, is_guarded, is_opaque
from pipeline_lint.facts.operations.results import without_epsilon
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.syntax import is_word
from pipeline_lint.facts.ranges.value import Evidence, Value, same_elements
from pipeline_lint.source import Source

_TARGET = re.compile(r"(^|_)(targets?|labels?|y_?true|gt|ground_truth|one_?hots?)(_|$)", re.IGNORECASE)
_PROBABILITY_NAME = re.compile(r"^(pt|p_t|pi)$|(^|_)(probs?|probabilit(y|ies))(_|$)", re.IGNORECASE)
_DISCRIMINATOR = re.compile(r"discriminator|^net_?D$|^D$")
_DISCRIMINATED = re.compile(r"^D_?(real|fake)|^(real|fake)_prob", re.IGNORECASE)
_SPECTRUM = re.compile(r"(^|_)(mels?|mel_?specs?|specs?|spectro(gram)?s?|magnitudes?|mags?)(_|$)", re.IGNORECASE)
_OF_MAGNITUDES = frozenset("abs square pow sqrt sum mean matmul mul div view_as_real clamp clamp_min".split())
_DEEPEST = 6
_VARIANCE = re.compile(r"(^|_)(var(iances?)?|covar?)(_|$)", re.IGNORECASE)
_EXTENT = re.compile(r"(^|_)(g?[wh]|[gt]wh|wh|widths?|heights?)s?$", re.IGNORECASE)
_ANCHOR = re.compile(r"anchor|prior|proposal|default_box", re.IGNORECASE)

_PROBABILITY = Evidence(Confidence.LIKELY, "a probability rounds to 0")
_COMPLEMENT = Evidence(Confidence.LIKELY, "a probability rounds to 1")
_SHARE = Evidence(Confidence.LIKELY, "an element that has no part of the sum")
_SILENCE = Evidence(Confidence.LIKELY, "silence has no magnitude")
_DEGENERATE = Evidence(Confidence.LIKELY, "a degenerate box has no width or height")
_DIFFERENCE = Evidence(Confidence.LIKELY, "rounding takes a difference of variances below 0")


def evidence_at_zero(source: Source, log: cst.Call, argument: cst.BaseExpression, value: Value) -> Evidence | None:
    """Why an argument is 0 at times; None where nothing says so."""
    made = value.made
    is_beside_complement = source.fact(LogarithmFormulas).is_beside_complement(log, argument)
    if made is not None and made.operation == "sub" and made.inputs[0].is_constant and made.inputs[0].low == 1:
        # log(1 - x): hardly anything else is subtracted from 1 under a logarithm.
        return _COMPLEMENT if is_opaque(made.inputs[1]) and not _is_held(source, argument) else None
    if value.low > 0 or is_guarded(value) or has_epsilon(value):
        return None
    if _SPECTRUM.search(_last_word(argument)) or _is_of_spectrum(value):
        return _SILENCE
    if not value.is_unknown:
        return None
    if _PROBABILITY_NAME.search(_last_word(argument)) or _is_of_discriminator(argument):
        return _PROBABILITY
    if is_opaque(value) and _is_of_box(argument):
        return _DEGENERATE
    if is_opaque(value) and _is_share(value):
        return _SHARE
    if _is_held(source, argument):
        return None
    is_beside_complement = is_beside_complement and is_opaque(value)
    return _PROBABILITY if is_beside_complement or _is_of_probability(source, log, argument) else None


def evidence_below_zero(value: Value) -> Evidence | None:
    """Why an argument is negative at times; None where nothing says so."""
    made = value.made
    if value.is_unknown and made is not None and made.operation == "sub" and isinstance(made.node, cst.BinaryOperation):
        is_plain = not any(each.is_constant or is_guarded(each) for each in made.inputs)
        return _DIFFERENCE if is_plain and _VARIANCE.search(_last_word(made.node.left)) else None
    return None


def _is_held(source: Source, argument: cst.BaseExpression) -> bool:
    """Whether an argument, or what is subtracted from 1, is an attribute: what an instance was made with is chosen.

    `self.probs` has a name that says more.
    """
    node = argument.right if isinstance(argument, cst.BinaryOperation) else argument
    value = source.fact(Flow).value_of(node) if isinstance(node, cst.Name) else node
    return isinstance(value, cst.Attribute) and is_word(value.value, "self")


def _is_of_discriminator(argument: cst.BaseExpression) -> bool:
    match argument:
        case cst.Call(func=cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name))):
            return _DISCRIMINATOR.search(name) is not None
        case cst.Name(value=name):
            return _DISCRIMINATED.search(name) is not None
    return False


def _is_of_spectrum(value: Value, depth: int = 0) -> bool:
    made = value.made
    if made is None or depth > _DEEPEST or not made.inputs or value.low > 0 or has_epsilon(value):
        return False
    name = called_name(made.node) if made.operation == "call" and isinstance(made.node, cst.Call) else ""
    if name.endswith("fft") or name in ("stft", "spectrogram"):
        return True
    return made.operation in _OF_MAGNITUDES and any(_is_of_spectrum(each, depth + 1) for each in made.inputs)


def _is_share(value: Value) -> bool:
    """Whether a value was divided by its own sum."""
    made = value.made
    if made is None or made.operation != "div":
        return False
    whole = without_epsilon(made.inputs[1]).made
    if whole is None or whole.operation != "sum" or not same_elements(whole.inputs[0], made.inputs[0]):
        return False
    return not _begins_above_zero(made.inputs[0])


def _begins_above_zero(value: Value, depth: int = 0) -> bool:
    """Whether a value is a sum that begins with a positive number, as a series does: `torch.ones_like(x) + x`."""
    if depth > _DEEPEST:
        return False
    if value.low > 0:
        return True
    terms = value.made.inputs if value.made is not None and value.made.operation == "add" else ()
    return any(_begins_above_zero(each, depth + 1) for each in (*value.choices, *terms))


def _is_of_box(argument: cst.BaseExpression) -> bool:
    """Whether an argument is a box's width or height in relation to an anchor's, as detectors are taught it."""
    match argument:
        case cst.BinaryOperation(left=left, operator=cst.Divide(), right=right):
            extent, unit = _last_word(left), _last_word(right)
            return bool(_EXTENT.search(extent) and (_ANCHOR.search(unit) or _EXTENT.search(unit)))
    return False


def _is_of_probability(source: Source, log: cst.BaseExpression, argument: cst.BaseExpression) -> bool:
    """Whether the use of a logarithm says that its argument is a probability: in entropies and cross entropies.

    These are p * log(p), p * (log(p) - log(q)), target * log(p), log(p) beside log(1 - p), and kl_div(log(p), q).
    """
    above = source.parent(log)
    if isinstance(above, cst.Arg):
        call = source.parent(above)
        if isinstance(call, cst.Call) and call.args[0] is above and _is_divergence(source, call):
            return True
    if feeds_only_its_argument_times(source, log, argument):
        return True
    code = source.code(argument)
    multiplied, logs = _around(source, log)
    names = {_last_word(factor) for factor in multiplied}
    if any(_TARGET.search(name) for name in names if name) and isinstance(argument, cst.Name | cst.Attribute):
        return True
    codes = {source.code(factor) for factor in multiplied}
    arguments = {source.code(each) for each in logs}
    if isinstance(argument, cst.BinaryOperation) and isinstance(argument.operator, cst.Divide):
        arguments.add(source.code(argument.left))
    return bool(codes & (arguments | {code}))


def _around(source: Source, log: cst.BaseExpression) -> tuple[list[cst.BaseExpression], list[cst.BaseExpression]]:
    """The factors of a logarithm, those of sums that it is a part of included, and what the logarithms there are of."""
    beside_log: list[cst.BaseExpression] = []
    terms: list[cst.BaseExpression] = [log]
    below: cst.BaseExpression = log
    for above in source.ancestors(log):
        match above:
            case cst.UnaryOperation():
                pass
            case cst.BinaryOperation(left=left, right=right, operator=operator):
                beside = right if left is below else left
                if isinstance(operator, cst.Multiply):
                    beside_log += factors(beside)
                elif isinstance(operator, cst.Add | cst.Subtract) and not beside_log:
                    terms.append(beside)
                else:
                    break
            case _:
                break
        below = above
    calls = source.fact(Calls)
    logs = [operation.input for term in terms if (operation := calls.operation(term)) is not None]
    return beside_log, [each for each in logs if each is not None]


def _last_word(node: cst.BaseExpression) -> str:
    match node:
        case cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)):
            return name
        case cst.Subscript(value=value):
            return _last_word(value)
        case cst.Call(func=cst.Attribute(value=value)):
            return _last_word(value)
    return ""


def _is_divergence(source: Source, call: cst.Call) -> bool:
    site = source.fact(Ranges).site(call)
    return site is not None and site.name == "kl_div"
