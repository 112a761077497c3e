"""Divisors that may be 0 and are not in practice: what a network gives, what it learns, draws, sums of positive shares.

A divisor that floating point lets be 0 is no defect as long as nothing makes it 0: the norm of an embedding, the spread
of samples, the sum of an attention. Zeros do come from data (silence, a constant image, equal points), from masks, from
what rounds or is cut to 0, and from what is empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.unwrapping import unwrapped
from pipeline_lint.facts.code.value_history import PASSED, are_related, names_in, ways_made
from pipeline_lint.facts.division.selections import is_padding_mask
from pipeline_lint.facts.division.value_leaves import (
    history,
    is_cut,
    is_of_extreme,
    is_of_parameters,
    is_of_unknown_calls,
    is_overlap,
)
from pipeline_lint.facts.masking.masks import is_mask_like
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import NUMBER, OTHER, Evidence, Made, Value
from pipeline_lint.facts.trained_code import is_test_code, is_trained_code
from pipeline_lint.source import Source

_NAMED_ALONE = re.compile(
    r"a probability such as|a variance is 0|`sigma` that is 0|a size of 1|(eye|one_hot) has zeros|by default$"
    r"|a condition that (is not met|holds nowhere)|squares that are all 0|`[\w.]*mask\w*` is 0 where it selects"
    r"|`(\w+\.)?((total|num|n)_)?(total|counts?|n|num|obs|observations|points|images|samples|examples|tokens?)` is 0 w"
    r"|`\w+_(total|true_count)` is 0 where|`(total|num|n|sum|pixel|region|pred|target)_\w+` is 0 for"
    r"|`self\.\w*(update|step|iter|frame|call)\w*` is 0 before"
)
"""Reasons that rest on a name alone, which mostly says something else, or says what is never 0."""
_SELECTED_NAME = re.compile(r"`\w*(speech|weight|valid|pos|match)\w*` is 0")
"""Of these the name tells that few are counted."""
_NETWORK = re.compile(
    r"(^|_)(embed(s|ding|dings)?|embs?|feats?|features?|hidden(_states?)?|pooled|pooler|latents?|logits|encod(ed|ings?)|depth\w*"
    r"|noise_pred|pred|guidance|codebooks?|proto(types?)?|centroids?|centers?|loadings?)\d*(_|$|\d)",
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
    r"|dist|scales?|coeffs?|bins?|support|influences?|prizes?|amplitudes)\d*(_|$|\d)|^(p|q|m|pi)$",
    re.IGNORECASE,
)
"""Names of shares of a whole, which add up to something."""
_SPARSE = re.compile(r"(^|_)(adj\w*|adjacency|one_?hot|bow|tf_?idf)(_|$)", re.IGNORECASE)
"""Names of what has rows of zeros: nodes without neighbours, texts without known words."""
_SIGNAL = re.compile(
    r"(^|_)(waves?|wav\w*|audio|signals?|mix\w*|speech|sources?|pcm|images?|imgs?|heat\w*|cams?|saliency|attributions?"
    r"|spec\w*|mels?|tensors?|data|pos|w|y|x)(_|$)",
    re.IGNORECASE,
)
"""Names of signals, which are 0 for silence and black images."""
_NAN_HANDLED = re.compile(r"isnan\(|nan_to_num|errstate|isfinite\(|nanmean\(|nansum\(|nanmedian\(|isinf\(")
_SHOWING = re.compile(r"(^|_)(plots?|plotting|repr|tensorboard|print|tests?|benchmarks?|demo)(_|$)", re.IGNORECASE)
_METRIC = re.compile(r"metrics$|^metric$|Metric$|^diagnostics$|^stats$")
_OF_ACTIVATIONS = re.compile(r"^(sigmoid|softplus|exp|softmax|relu|tanh)\(")
_PADDING = re.compile(
    r"(^|\W|_)pad(ded|ding)?(_|\W|$)|(src|enc|dec|tgt|dur|token|text|spectrogram|duration)\w*_masks?\b|_len\b|attention_masks?\b"
)
_SPATIAL = re.compile(r"^(d|h|w|c|[xyz]_dim|\w*(height|width)|(num_|n_)?classes)$", re.IGNORECASE)
"""Names of sizes that are 1 at times: of an image, and how many classes there are in a batch."""
_ONE_ELEMENT, _COORDINATE = "a count of 1", "a coordinate that is 0"
_LENGTHS = results.NORMS | {"dot", "hypot"}
_NOTHING_KNOWN = Evidence(Confidence.POSSIBLE, "nothing in the code rules it out")
_COUNTED = results.NOTHING_SELECTED.witness
_ALL_ZERO, _MINIMUM, _BEFORE = "elements that are all 0", "the minimum itself", "before anything was counted"
_SPREADS = frozenset({"std", "var"})
_SUMS = frozenset({"sum", "mean", "nansum"})
_ENDS = results.MAXIMA | results.MINIMA
_REDUCTIONS = results.NORMS | results.MAXIMA | _SPREADS | _SUMS | {"dot", "hypot"}
_MOVED = frozenset("unsqueeze squeeze view reshape expand getitem detach clone to".split())
_DEEPEST = 6


def in_practice(source: Source, site: Site, name: str, found: Evidence) -> Evidence:
    """The reason `found` why a divisor, the operand `name`, is 0, or one that is only possible."""
    if found.confidence is Confidence.POSSIBLE:
        return found
    if site.values[name].kind == OTHER:
        return _NOTHING_KNOWN if _is_implausible_array(source, site.operands[name]) else found
    if _is_implausible(source, site, name, found):
        return _NOTHING_KNOWN
    # What a clamp lets through is where a hazard lies, and no proof that a value gets there.
    is_clamped = found.witness.startswith("clamp gives")
    return Evidence(min(found.confidence, Confidence.LIKELY), found.witness) if is_clamped else found


def _is_implausible(source: Source, site: Site, name: str, found: Evidence) -> bool:
    """Whether a divisor that `found` says to be 0 at times is so in theory only."""
    value, node, witness = site.values[name], site.operands[name], found.witness
    if _NAMED_ALONE.search(witness) and not _SELECTED_NAME.search(witness):
        return True
    if is_test_code(source) or _is_code_of(source, node, _SHOWING):
        return True
    if _OF_ACTIVATIONS.search(witness):
        return is_of_parameters(value, alone=False)
    if site.unguarded is not None or any(mask.kind == "where" for mask in site.masks):
        return True
    if _is_asked(source, site, node):
        return True
    if witness.endswith("for an empty region") and not _is_region(source, node, value):
        return True
    if witness == _ONE_ELEMENT:
        return not any(map(_SPATIAL.search, names_in(node))) and not _counts_unique(source, value)
    if witness == _COORDINATE or witness.endswith("that is 0"):
        # A point of numpy's is prepared by an affine map, and `other.var` is the exponential of something.
        is_of_numpy = witness == _COORDINATE and "np." in _function_code(source, node)
        is_square = any(made.operation in ("pow", "square") for made in ways_made(value))
        return is_of_numpy or (witness != _COORDINATE and not is_square)
    if "isolated node" in witness:
        return _is_of_edges(source, site, node)
    if value.made is not None and value.made.operation in ("mse_loss", "l1_loss"):
        return True
    if _BEFORE in witness:
        return not _is_in_metric(source, node)
    if _counts_padding(source, node, value) or _is_of_diagonal(value):
        return True
    made = _reduction(value)
    if made is not None and made.operation == "sum" and is_of_extreme(made.inputs[0]):
        return True
    if witness.endswith("for what is empty") and _is_code_of(source, node, _METRIC):
        return True
    if witness == _COUNTED:
        return _is_never_empty(value) or (made is not None and made.operation in results.NORMS)
    if made is None:
        return witness in (results.EQUAL.witness, results.ZEROS.witness)
    if _is_nan_handled(source, site) and not is_cut(made.inputs[0]):
        return True
    return _is_full(source, site, name, made, witness)


def _is_implausible_array(source: Source, node: cst.BaseExpression) -> bool:
    """Whether a divisor of numpy's is no peak of a signal, or its NaN is taken care of."""
    code = source.module.code_for_node(node)
    is_peak = re.search(r"\.a?max\(\s*(np|numpy)\.(abs|fabs|absolute)\(|\.mean\(.*\*\* ?2", code) is not None
    if not is_peak or is_test_code(source) or _is_code_of(source, node, _SHOWING):
        return True
    return _NAN_HANDLED.search(_function_code(source, node)) is not None


def _is_full(source: Source, site: Site, name: str, made: Made, witness: str) -> bool:
    """Whether a norm, spread, peak or sum is one of elements of which not all are 0, or equal, in practice."""
    reduced, numerator = made.inputs[0], site.values.get("input") if name == "other" else None
    if witness == _ALL_ZERO and (_is_of_two_sums(site.values[name]) or is_overlap(reduced)):
        return False
    if is_of_unknown_calls(reduced) or is_of_parameters(reduced):
        return True
    names = {*names_in(site.operands[name]), *names_in(made.node)}
    if numerator is not None and are_related(numerator, reduced):
        names |= set(names_in(site.operands["input"]))
    if any(each.search(name) for name in names for each in (_NETWORK, _LEARNED, _DRAWN, _ALGEBRA)):
        return True
    if _is_code_of(source, site.node, _METRIC):
        return True
    if made.operation in _SUMS and witness == _ALL_ZERO:
        is_of_rows = numerator is not None and _has_dim(source, made) and reduced.root == numerator.root
        if any(map(_SPARSE.search, names)):
            return False
        return any(map(_SHARES.search, names)) or not (is_of_rows or is_cut(reduced))
    if made.operation in _LENGTHS or (witness == results.ZEROS.witness and made.operation not in results.MAXIMA):
        return not _is_unit_form(source, site, name, made)
    if made.operation in _SPREADS:
        return numerator is None or not are_related(numerator, reduced) or any(map(_SHARES.search, names))
    if made.operation in results.MAXIMA and (witness == results.EQUAL.witness or any(map(_SHARES.search, names))):
        return True
    if made.operation in results.MAXIMA and witness != _MINIMUM:
        return not any(map(_SIGNAL.search, names_in(made.node)))
    return False


def _is_region(source: Source, node: cst.BaseExpression, value: Value) -> bool:
    """Whether areas are added up to a union, or one is divided by that is not of an image or a cell of a program."""
    if value.made is not None and value.made.operation in ("add", "sub"):
        return True
    code = source.module.code_for_node(node)
    return re.match(r"\(?(\w*unions?\w*|areas?|volumes?)\b(?!\()", code) is not None


def _is_asked(source: Source, site: Site, node: cst.BaseExpression) -> bool:
    """Whether the function asks elsewhere whether its divisor is 0, or mends the quotient afterwards."""
    divisor = unwrapped(node)
    code = _function_code(source, node)
    if isinstance(divisor, cst.Name):
        name = re.escape(divisor.value)
        test = rf"(?m)^[^#\n]*\b(if|assert|while|and|or|not|where)\b[^#\n]*\b{name}\b( (==|!=|>|<=) 0\b|:|,)"
        if re.search(test, code):
            return True
    if isinstance(site.node, cst.AugAssign):
        target = re.escape(source.module.code_for_node(site.node.target))
        return re.search(rf"{target}\[[^\n]*\] = ", code) is not None
    return False


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
        return all(_reduction(each) is not None for each in divisor.inputs)
    bases = made.inputs[0].made.inputs if made.inputs[0].made is not None else ()
    return _has_dim(source, made) and any(each.root == numerator.root for each in (made.inputs[0], *bases))


def _has_dim(source: Source, made: Made) -> bool:
    """Whether a reduction goes along one dimension."""
    operation = source.fact(Calls).operation(made.node)
    dim = operation.operands.get("dim") if operation is not None else None
    return dim is not None and not isinstance(dim, cst.Tuple | cst.List)


def _reduction(value: Value, depth: int = 0) -> Made | None:
    """The norm, spread, peak or sum that a divisor is, or is a multiple or a root of."""
    made = value.made
    if depth > _DEEPEST:
        return None
    if made is None:
        found = (_reduction(choice, depth + 1) for choice in value.choices)
        return next((each for each in found if each is not None), None)
    if made.operation in _REDUCTIONS:
        return made if made.inputs else None
    if made.operation == "sub" and all(each.made is not None and each.made.operation in _ENDS for each in made.inputs):
        return made
    if made.operation in PASSED or made.operation in _MOVED or made.operation == "add":
        found = (_reduction(each, depth + 1) for each in made.inputs)
        return next((each for each in found if each is not None), None)
    return None


def _counts_padding(source: Source, node: cst.BaseExpression, value: Value) -> bool:
    """Whether a divisor counts what is no padding, of which every row has some."""
    if value.is_count and _PADDING.search(source.module.code_for_node(node)):
        return True
    for each, operation in history(value):
        if operation in ("sum", "count_nonzero") and each.made is not None and each.made.inputs:
            mask, code = each.made.inputs[0], source.module.code_for_node(each.made.node)
            if mask.made is not None and is_mask_like(mask):
                code += source.module.code_for_node(mask.made.node)
            if _PADDING.search(code) or (is_mask_like(mask) and is_padding_mask(source, each.made.node, mask)):
                return True
    return False


def _is_of_diagonal(value: Value) -> bool:
    """Whether a mask is made of a diagonal or triangle, which leaves something in each row."""
    return any(operation in ("eye", "tril", "triu", "diag") for _, operation in history(value))


def _is_of_edges(source: Source, site: Site, node: cst.BaseExpression) -> bool:
    """Whether a degree is looked up for the ends of edges, whose nodes are not isolated, or counts a batch."""
    value = site.values.get("other") or site.values["input"]
    code = source.module.code_for_node(node)
    numerator = site.values.get("input")
    is_inverse = site.name == "div" and numerator is not None and numerator.is_constant
    if any(made.operation in results.MAXIMA for made in ways_made(value)):
        return True
    return "batch" in code or "num_" in code or (value.made is None and is_inverse)


def _counts_unique(source: Source, value: Value) -> bool:
    """Whether a divisor is one less than how many different values there are."""
    return any(
        made.inputs[0].made is not None and "unique" in source.module.code_for_node(made.inputs[0].made.node)
        for made in ways_made(value)
        if made.operation == "sub"
    )


def _is_never_empty(value: Value) -> bool:
    """Whether a mask selects something for sure, or what is counted is a size that a mask hardly touches."""
    return value.kind == NUMBER and not any(made.operation in ("sum", "numel", "item") for made in ways_made(value))


def _is_in_metric(source: Source, node: cst.CSTNode) -> bool:
    """Whether a class is a metric, which is asked for its value without data."""
    owner = source.enclosing(node, cst.ClassDef)
    if owner is None:
        return False
    names = [owner.name.value, *(name for base in owner.bases for name in names_in(base.value))]
    return any(re.search(r"Metric|Accuracy|Recall|Precision|Score|F1", name) for name in names)


def _is_code_of(source: Source, node: cst.CSTNode, name: re.Pattern[str]) -> bool:
    """Whether a file, its folders, a class or a function around a node is called like that."""
    path = PurePath(source.path)
    return any(name.search(each) for each in (path.stem, *path.parts[-4:-1], *_holders(source, node)))


def _holders(source: Source, node: cst.CSTNode) -> Iterator[str]:
    for above in source.ancestors(node):
        if isinstance(above, cst.FunctionDef | cst.ClassDef):
            yield above.name.value.strip("_")


def _function_code(source: Source, node: cst.CSTNode) -> str:
    function = source.enclosing(node, cst.FunctionDef)
    return source.module.code_for_node(function) if function is not None else ""


def _is_nan_handled(source: Source, site: Site) -> bool:
    """Whether the function around a division asks for NaN, and so expects it, and no gradient goes back through it."""
    if site.has_gradient and is_trained_code(source, site.node):
        return False
    return _NAN_HANDLED.search(_function_code(source, site.node)) is not None
