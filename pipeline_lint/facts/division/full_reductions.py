"""Norms, spreads, peaks and sums of elements that are not all 0, or not all equal, in practice."""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.value_history import PASSED, are_related, names_in
from pipeline_lint.facts.division.known_zeros import function_code, is_in_metrics
from pipeline_lint.facts.division.value_leaves import is_cut, is_of_parameters, is_of_unknown_calls, is_overlap
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import Made, Value
from pipeline_lint.facts.trained_code import is_example_code, is_model_or_loss, is_sampler_code
from pipeline_lint.source import Source

_NETWORK = re.compile(
    r"(^|_)(embed(s|ding|dings)?|embs?|feats?|features?|hidden(_states?)?|pooled|pooler|latents?|logits|encod(ed|ings?)"
    r"|depth\w*|noise_pred|pred|guidance|codebooks?|proto(types?)?|centroids?|centers?|loadings?)\d*(_|$|\d)",
    re.IGNORECASE,
)
"""Names of what layers give and learn: of a hundred such numbers, not all are 0."""
_LEARNED = re.compile(r"(^|_)(params?|parameters?|q_?vectors?|conv\w*|linear|weight_\w+|positions?_enc|grads?)(_|$)")
_DRAWN = re.compile(
    r"(^|_)(samples?|sampled|draws?|rnd|rand\w*|noise|priors?|posteriors?|post|thetas?|chains?|field)(_|$)",
    re.IGNORECASE,
)
"""Names of what is drawn at random."""
_ALGEBRA = re.compile(
    r"(^|_)(quats?|quaternions?|q_avg|eig\w*|null\w*|basis|rot\w*|dirs?|directions?\d*|models?|homograph\w*)(_|$|\d)",
    re.IGNORECASE,
)
"""Names of what linear algebra gives: unit vectors, rotations, bases."""
_SHARES = re.compile(
    r"(^|_)(weights?|probs?|hist\w*|attentions?|attn|conf\w*mat\w*|density|counts?|ratios?|resp\w*|lens?|lengths?|props?"
    r"|dist|scales?|coeffs?|bins?|support|influences?|prizes?|amplitudes)\d*(_|$|\d)|^(p|m|pi)$|(^|_)q$",
    re.IGNORECASE,
)
"""Names of shares of a whole, which add up to something."""
_SPARSE = re.compile(r"(^|_)(adj\w*|adjacency|one_?hot|bow|tf_?idf)(_|$)", re.IGNORECASE)
"""Names of what has rows of zeros: nodes without neighbours, texts without known words."""
_MADE_UP = re.compile(r"vocod|waveglow|tacotron|text_to_speech|(^|_)tts(_|$)", re.IGNORECASE)
"""Code of what turns text or spectrograms to speech, which is not silent."""
_SIGNAL = re.compile(
    r"(^|_)(waves?|wav\w*|audio|signals?|mix\w*|speech|sources|pcm|images?|imgs?|heat\w*|cams?|saliency|attributions?"
    r"|spec\w*|mels?)(_|$)",
    re.IGNORECASE,
)
"""Names of signals, which are 0 for silence and black images."""
_DATA = re.compile(r"^(tensors?|\w+_tensor|data|pos|w|y|x|attribution)$", re.IGNORECASE)
"""Names of what may be a signal."""
_ALL_ZERO, _MINIMUM = "elements that are all 0", "the minimum itself"
_SPREADS = frozenset({"std", "var"})
_SUMS = frozenset({"sum", "mean", "nansum"})
_LENGTHS = results.NORMS | {"dot", "hypot"}
_ENDS = results.MAXIMA | results.MINIMA
_REDUCTIONS = results.NORMS | results.MAXIMA | _SPREADS | _SUMS | {"dot", "hypot"}
_MOVED = frozenset("unsqueeze squeeze view reshape expand getitem detach clone to".split())
_DEEPEST = 6


def reduction(value: Value, depth: int = 0) -> Made | None:
    """The norm, spread, peak or sum that a divisor is, or is a multiple or a root of."""
    made = value.made
    if depth > _DEEPEST:
        return None
    if made is None:
        found = (reduction(choice, depth + 1) for choice in value.choices)
        return next((each for each in found if each is not None), None)
    if made.operation in _REDUCTIONS:
        return made if made.inputs else None
    if made.operation == "sub" and all(each.made is not None and each.made.operation in _ENDS for each in made.inputs):
        return made
    if made.operation in PASSED or made.operation in _MOVED or made.operation == "add":
        found = (reduction(each, depth + 1) for each in made.inputs)
        return next((each for each in found if each is not None), None)
    return None


def is_full(source: Source, site: Site, name: str, made: Made, witness: str) -> bool:
    """Whether a norm, spread, peak or sum is one of elements of which not all are 0, or equal, in practice."""
    reduced, numerator = made.inputs[0], site.values.get("input") if name == "other" else None
    if witness == _ALL_ZERO and (_is_of_two_sums(site.values[name]) or is_overlap(reduced)):
        return False
    names = {*names_in(site.operands[name]), *names_in(made.node), *_keys_in(made.node)}
    if numerator is not None and are_related(numerator, reduced):
        names |= set(names_in(site.operands["input"]))
    if any(each.search(name) for name in names for each in (_NETWORK, _LEARNED, _DRAWN, _ALGEBRA)):
        return True
    if is_in_metrics(source, site.node):
        return True
    is_of_signal = any(map(_SIGNAL.search, names_in(made.node)))
    if is_of_signal and made.operation in _SPREADS | results.MAXIMA:
        return not is_model_or_loss(source, site.node) and _MADE_UP.search(function_code(source, site.node)) is not None
    if made.operation in _SPREADS and reduced.made is not None and reduced.made.operation == "sign":
        return True
    if made.operation in _SPREADS and is_example_code(source) and not is_model_or_loss(source, site.node):
        # An example runs on data that it names.
        return True
    if is_of_unknown_calls(reduced) or is_of_parameters(reduced):
        return True
    if made.operation in _SUMS and witness == _ALL_ZERO:
        is_of_rows = numerator is not None and _has_dim(source, made) and reduced.root == numerator.root
        if any(map(_SPARSE.search, names)):
            # A graph has edges; a node may have none.
            return not _has_dim(source, made)
        return any(map(_SHARES.search, names)) or not (is_of_rows or is_cut(reduced))
    if made.operation in _LENGTHS or (witness == results.ZEROS.witness and made.operation not in results.MAXIMA):
        return not _is_unit_form(source, site, name, made)
    if made.operation in _SPREADS:
        is_of_other = numerator is None or not are_related(numerator, reduced)
        return is_of_other or is_sampler_code(source, site.node) or any(map(_SHARES.search, names))
    if made.operation in results.MAXIMA and (witness == results.EQUAL.witness or any(map(_SHARES.search, names))):
        return True
    if made.operation in results.MAXIMA and witness != _MINIMUM:
        return not any(map(_DATA.search, names_in(made.node)))
    return False


def _keys_in(node: cst.CSTNode) -> set[str]:
    """The keys that a piece of code looks things up by: `feat` of `g.ndata["feat"]`."""
    waiting, found = [node], set[str]()
    while waiting:
        current = waiting.pop()
        if isinstance(current, cst.Index) and isinstance(current.value, cst.SimpleString):
            found.add(str(current.value.evaluated_value))
        waiting.extend(current.children)
    return found


def _is_of_two_sums(value: Value) -> bool:
    """Whether a divisor is the sum of two sums, as that of a Dice score is."""
    made = value.made
    if made is None or made.operation != "add":
        return False
    return all((each.made is not None and each.made.operation in _SUMS) or each.is_constant for each in made.inputs)


def _is_unit_form(source: Source, site: Site, name: str, made: Made) -> bool:
    """Whether vectors are divided by their own norms, `x / x.norm(dim=1, keepdim=True)`, or a dot product by two."""
    numerator, divisor = site.values.get("input") if name == "other" else None, site.values[name].made
    if numerator is None:
        return False
    if divisor is not None and divisor.operation == "mul" and not any(each.is_constant for each in divisor.inputs):
        return all(reduction(each) is not None for each in divisor.inputs)
    if made.operation not in results.NORMS and (divisor is None or divisor.operation not in ("sqrt", "pow")):
        # `w / w.square().sum()` projects on a direction.
        return False
    if not _is_given(source, made):
        return False
    bases = made.inputs[0].made.inputs if made.inputs[0].made is not None else ()
    return _has_dim(source, made) and any(each.root == numerator.root for each in (made.inputs[0], *bases))


def _is_given(source: Source, made: Made) -> bool:
    """Whether a norm is one of what a function is given, or of a difference; of others the code knows more."""
    whole = made.inputs[0]
    if whole.made is not None and whole.made.operation == "sub":
        return True
    function = source.enclosing(made.node, cst.FunctionDef)
    operation = source.fact(Calls).operation(made.node)
    operand = operation.input if operation is not None else None
    if function is None or operand is None or source.enclosing(made.node, cst.Lambda) is not None:
        return False
    given = {parameter.name.value for parameter in (*function.params.params, *function.params.kwonly_params)}
    return any(name in given for name in names_in(operand))


def _has_dim(source: Source, made: Made) -> bool:
    """Whether a reduction goes along one dimension."""
    operation = source.fact(Calls).operation(made.node)
    dim = operation.operands.get("dim") if operation is not None else None
    return dim is not None and not isinstance(dim, cst.Tuple | cst.List)
