"""What a mask tells apart, from how it was made and what it is called: whether it selects nothing at times.

A mask of padding or lengths leaves something of every sequence, one that was drawn at random leaves something almost
surely; there are batches without a label, a positive, a valid pixel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import libcst as cst

from pipeline_lint.facts.code.value_history import names_in
from pipeline_lint.facts.masking.masks import (
    BOTH,
    CASTS,
    COMPARISONS,
    FINITENESS,
    NOT,
    OF_POSITIONS,
    RANKS,
    is_mask_like,
    operations_behind,
)
from pipeline_lint.facts.ranges.value import Made, Value

NEVER_EMPTY, PADDING, CHANCE, UNKNOWN, TELLING = "never empty", "padding", "chance", "unknown", "telling"
"""From what selects something always to what is known to select nothing at times."""
_ORDER = (NEVER_EMPTY, PADDING, CHANCE, UNKNOWN, TELLING)

_PADDING_NAME = re.compile(
    r"pad|length|(^|_)[iohx]?lens(_|$)|(seq|src|text|max)_?len|attention|attn|(^|_)(seq|sequences?|tokens?|texts?|captions?|words?"
    r"|subwords?|spec|spectrogram|mel|frames?|durations?|src|source|memory|enc|encoder|x|y|z|inputs?|out|outputs?"
    r"|query|key|atoms?|nodes?)_?masks?$",
    re.IGNORECASE,
)
_TELLING_NAME = re.compile(
    r"label|target|(^|_)gts?(_|$)|ground_?truth|y_true|ignore|valid|visib|occlu|foreground|supervis|observed|inlier"
    r"|(^|_)(pos|neg|positives?|negatives?|fg|hard|easy|anchors?|match(ed|es)?|keep|kept|inside|nan|finite|edges?"
    r"|boundary|obj|objects?|mlm|mim|responses?|completion|assistant|done|adj|adjacency|neighbou?rs?)(_|$)",
    re.IGNORECASE,
)
_GIVEN_BY_A_CALL = re.compile(r"valid|finite|nan|target", re.IGNORECASE)
"""What the mask is of that a function of another file gives; it need not be missing in any batch."""
_CHANCE_NAME = re.compile(r"bool_masked_pos|masked_(pos|indices)|mask_(ratio|prob|rate)|(^|_)rand(om)?(_|$)|dropout")
_TOKEN_NAME = re.compile(
    r"(^|_)(ids?|tokens?|inputs?|x|xs|ys|src|source|tgt|texts?|words?|seqs?|sequences?|captions?)$", re.IGNORECASE
)
_RANDOM = frozenset(
    "rand rand_like randn randn_like randint randint_like randperm bernoulli multinomial uniform dropout".split()
)
_ONE_EACH = frozenset({"one_hot", "scatter", "eye", "unique"})
"""One element of each row, or what stands in the data for certain."""
_OVER_FEATURES = frozenset({"sum", "norm", "mean"})
_TRIANGLES = frozenset({"triu", "tril", "fill_diagonal"})
_NAMED = re.compile(r"^`(\w+)` is 0 where")
_DEEPEST = 8


def meaning_of(mask: Value, node: cst.CSTNode) -> str:
    """What a mask tells apart, which `node` reads."""
    made = _by_making(mask, 0)
    if made == NEVER_EMPTY or isinstance(node, cst.Comparison | cst.BinaryOperation):
        return made
    words = words_of(node)
    is_of_call = mask.made is not None and mask.made.operation == "call"
    return (_of_call(words) if is_of_call else _by_name(words)) or made


def is_named_padding(words: Iterable[str]) -> bool:
    """Whether words say that something is a mask of padding or lengths."""
    return any(map(_PADDING_NAME.search, words))


def words_of(node: cst.CSTNode) -> list[str]:
    """The names in a piece of code, and the texts by which it picks from dicts."""
    found = list(names_in(node))
    waiting: list[cst.CSTNode] = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, cst.SimpleString) and isinstance(text := current.evaluated_value, str):
            found.append(text)
        waiting.extend(current.children)
    return found


def _by_making(mask: Value, depth: int) -> str:
    made = mask.made
    if depth > _DEEPEST:
        return UNKNOWN
    if made is None:
        found = [_by_making(choice, depth + 1) for choice in mask.choices if not choice.is_constant]
        if found:
            return strongest(found)
        named = _NAMED.match(mask.zero.witness) if mask.zero is not None else None
        return (_by_name([named.group(1)]) if named is not None else None) or UNKNOWN
    name, inputs = made.operation, [each for each in made.inputs if not each.is_constant]
    if name in _ONE_EACH:
        return NEVER_EMPTY
    if name in FINITENESS:
        return TELLING
    if name in _RANDOM:
        return CHANCE
    if name in COMPARISONS and len(made.inputs) == 2:
        return _of_comparison(made, depth)
    if name == "call":
        return _of_call(words_of(made.node)) or UNKNOWN
    found = [_by_making(each, depth + 1) for each in inputs]
    if name in ("logical_or", "bitwise_or", "cat") and found:
        return min(found, key=_ORDER.index)
    if name in BOTH and found:
        return strongest(found)
    if name in _TRIANGLES and found:
        # Pairs without those of an element with itself.
        return TELLING
    if name in NOT | CASTS | {"nonzero", "argwhere", "where", "all", "any", "float", "double", "half"} and found:
        return found[0]
    return _by_name(words_of(made.node)) or UNKNOWN


def _of_comparison(made: Made, depth: int) -> str:
    one, other = made.inputs
    behind = operations_behind(one) | operations_behind(other)
    is_equality = made.operation in ("eq", "ne")
    if made.operation == "eq" and "unique" in behind:
        return NEVER_EMPTY
    if behind & OF_POSITIONS:
        return PADDING
    if behind & (RANKS | _RANDOM):
        return CHANCE
    for value, beside in ((one, other), (other, one)):
        if beside.is_constant and (is_mask_like(value) or _is_one_each(value)):
            return _by_making(value, depth + 1)
        if beside.is_constant and is_equality and value.made is not None and value.made.operation in _OVER_FEATURES:
            # `frames.abs().sum(-1) != 0` tells frames that were padded with zeros.
            return PADDING
    words = words_of(made.node)
    named = _by_name(words)
    if named is not None:
        return named
    if one.is_constant or other.is_constant or made.operation == "ne":
        # `tokens != blank`, and not the pairs of `x[:, None] != x`.
        is_of_tokens = is_equality and len([word for word in words if _TOKEN_NAME.search(word)]) == 1
        return PADDING if is_of_tokens else TELLING
    return TELLING if not is_equality or one.root == other.root else UNKNOWN


def _by_name(words: Iterable[str]) -> str | None:
    found = list(words)
    for pattern, meaning in ((_PADDING_NAME, PADDING), (_CHANCE_NAME, CHANCE), (_TELLING_NAME, TELLING)):
        if any(map(pattern.search, found)):
            return meaning
    return None


def _of_call(words: list[str]) -> str | None:
    """What the words say that name or read the result of a function which is not known."""
    named = _by_name(words)
    return None if named == TELLING and any(map(_GIVEN_BY_A_CALL.search, words)) else named


def strongest(found: Sequence[str]) -> str:
    """The meaning that makes it surest that nothing is selected at times."""
    return max(found, key=_ORDER.index)


def _is_one_each(value: Value) -> bool:
    return value.made is not None and value.made.operation in _ONE_EACH
