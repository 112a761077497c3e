"""TRN212: masks that break the softmax behind them, or do not mask."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import replace, safe_fix, unsafe_fix
from pipeline_lint.facts.guarding import finfo, has_comment, is_repeatable, receiver_code, shown
from pipeline_lint.facts.half.half_support import HalfSupport
from pipeline_lint.facts.masking.covering import is_part_of_the_model, may_cover_a_row
from pipeline_lint.facts.masking.mask_constants import slipped_mask_constants
from pipeline_lint.facts.masking.masked_after import renormalised, zeroed_log_probabilities
from pipeline_lint.facts.masking.score_fills import SAFE_ATTENTION, ScoreFill, score_fills
from pipeline_lint.facts.masking.scores import holds_large, is_shifted_by_maximum
from pipeline_lint.facts.trained_code import is_example_code
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_HALF_MAX = 65504.0
_WEAK = -1e4
"""What people write so that float16 holds it; scores of float16 can be as low."""
_DTYPE_TEST = re.compile(r"float16|half|fp16|dtype|bf16")
_FILTERS = re.compile(
    r"sampl|top_?[kp](_|$)|nucleus|filter|warp|generat|beam|decode|greedy|processor|predict|search", re.IGNORECASE
)
"""Functions that take candidates away from the logits of a model, and leave some."""


class MaskedSoftmax(Rule):
    """A mask before a softmax gives NaN for a row that is masked entirely, raises in float16, or does not mask.

    Masked scores get a constant whose exp is 0, and three constants are common. With `-inf` the weights are exactly
    0, until a row is masked entirely: an empty sequence, the queries of a padded image, a sentence shorter than the
    prefix. Then softmax subtracts a maximum of -inf from -inf, and the row is NaN in float32, bfloat16 and float16
    alike; one such row makes the loss NaN. A constant such as `-1e9` gives that row equal weights instead, but
    float16 ends at 65504: `scores.masked_fill(mask, -1e9)` raises there with "value cannot be converted to type
    c10::Half without overflow", also inside autocast, which computes the softmax in float32 but leaves the scores of
    the matmul in float16; `torch.where`, `scores[mask] = -1e9` and `scores + (1 - mask) * -1e9` make it -inf.
    bfloat16 has the range of float32 and holds it. `-1e4` fits everywhere, but scores that are as low themselves lose
    against it, and all weight goes to what is masked. A constant near 0, such as the `-1e-9` that was to be `-1e9`,
    masks nothing: exp(-1e-9) is 1.0.

    A mask that comes after the softmax comes too late: in `w = softmax(x) * mask; w / w.sum()` a masked score 104
    above the others has made their weights exactly 0 (in float32; 93 in bfloat16, 17.5 in float16) before it is taken
    out. And `mask * log_softmax(x)` gives masked entries the log probability 0, which is the probability 1.

    `torch.finfo(scores.dtype).min` fits every dtype, masks as -inf does, and gives equal weights to a row that is
    masked entirely.

    The scores are followed to the softmax through names, branches, helper functions of the file, reshapes, sums and
    scales; the softmax may be a function, a method, a module, or inside `cross_entropy`. Where none is in sight, the
    names of the scores and of the code around tell of attention.

    Bad:
        def attend(scores, values, mask):
            pairs = mask[:, :, None] & mask[:, None, :]
            scores = scores.masked_fill(~pairs, float("-inf"))
            return scores.softmax(dim=-1) @ values
    Good:
        import torch

        def attend(scores, values, mask):
            pairs = mask[:, :, None] & mask[:, None, :]
            scores = scores.masked_fill(~pairs, torch.finfo(scores.dtype).min)
            return scores.softmax(dim=-1) @ values
    Exempt: for -inf: masks that leave something in each row (triangles of `triu` and `tril`, positions compared with
        positions, the diagonal, `x < x.topk(k).values[..., -1:]`, masks whose name says so, masks that are opened again
        where they cover a row), rows whose NaN is masked or replaced after the softmax, and
        `F.scaled_dot_product_attention`, which gives 0 for such rows (torch 2.5 and later). For constants beyond
        float16: scores known to be float32, float64 or bfloat16, and code that asks for the dtype first. A mask covers
        a row for likely where it is one of pairs of positions, so that it covers what a padded query sees, and where
        its name says that nothing may be left (valid, visible, adjacency). Masks of keys alone leave something of
        every sequence that is not empty: these, masks that are chosen so that something is left (sampling, legal
        actions), masks that only `__init__` makes, -100 as in shifted windows, and -1e4 outside of attention, added to
        the scores, or below a maximum that was subtracted, are shown at `--min-confidence possible`.
    Fix: Safe, unsafe where something is added, scaled or normalised by `log_softmax` after the fill, where no softmax
        is in sight, and for constants that did not mask: the constant becomes `torch.finfo(scores.dtype).min`. A
        softmax gives exactly the same weights and gradients for it wherever they were finite. There is none where the
        scores have no name at the fill, where the constant is a parameter, where it is added to the scores instead of
        taking their place, and for masks after the softmax.
    Source: pull requests that repaired such masks in vit-pytorch, darts, gpt-neox, Megatron and allennlp; the figures
        were measured with torch 2.13 on CPU.
    """

    code = "TRN212"
    triggers = ("oftmax", "masked_fill", "cross_entropy", "attention", "MASK", "mask_value", "mask_fill")

    def check(self, source: Source) -> Iterator[Finding]:
        """Fills before a softmax, masks after it, and constants named for masking."""
        constants = slipped_mask_constants(source)
        for name, value in constants.items():
            yield Finding(
                at=value,
                message=f"`{name} = {shown(source, value)}` masks nothing, as it is almost 0; write a large negative "
                "number, or `torch.finfo(scores.dtype).min` where it is used",
                confidence=Confidence.LIKELY,
                witness=_small_problem(-1e-7)[0],
            )
        for each in score_fills(source):
            if not (isinstance(each.value, cst.Name) and each.value.value in constants):
                yield from _of_fill(source, each)
        for site in renormalised(source):
            yield Finding(
                at=site.node,
                message=f"`{shown(source, site.node)}` masks after the softmax, where a large masked score has made "
                "the others 0 already; fill the scores with `torch.finfo(scores.dtype).min` before the softmax",
                confidence=Confidence.LIKELY,
                witness="softmax([200.0, 0.0]) is exactly [1.0, 0.0] in float32, so nothing is left without the first",
            )
        for site in zeroed_log_probabilities(source):
            yield Finding(
                at=site.node,
                message=f"`{shown(source, site.node)}` gives masked entries the log probability 0, which is the "
                "probability 1; write `masked_fill` with `torch.finfo(x.dtype).min`",
                confidence=Confidence.LIKELY,
                witness="exp(0.0) is 1.0, so a masked entry is the most probable of all",
            )


def _of_fill(source: Source, each: ScoreFill) -> Iterator[Finding]:
    constant, value = each.fill.constant, shown(source, each.value)
    remedy = f"torch.finfo({_scores_code(source, each)}.dtype).{_limit(each)}"
    if constant == -math.inf:
        confidence = _of_infinite(source, each)
        witness = "softmax of a row that is all -inf is NaN"
        problem = f"`{value}` makes the softmax NaN for a row that `{shown(source, each.mask)}` masks entirely"
    elif constant < -_HALF_MAX:
        confidence = _of_large(source, each)
        witness = "float16 ends at 65504, and the softmax of a row that is all -inf is NaN"
        problem = f"`{value}` is -inf in float16, and the softmax NaN for a row that is masked entirely"
        if each.is_method:
            witness = "value cannot be converted to type c10::Half without overflow"
            problem = f"`{value}` is too large for float16, where `masked_fill` raises"
    else:
        confidence = _of_small(each)
        witness, problem = _small_problem(constant, is_added=each.fill.is_added)
        problem = f"`{value}` {problem}"
    if confidence is not None:
        yield Finding(
            at=each.fill.node,
            message=f"{problem}; fill with `{remedy}`",
            confidence=confidence,
            witness=witness,
            fix=lambda: _fix(source, each),
        )


def _of_infinite(source: Source, each: ScoreFill) -> Confidence | None:
    fill = each.fill
    softmaxes = [site for site in each.softmaxes if site.name != SAFE_ATTENTION]
    if not softmaxes or not fill.is_whole or fill.is_added:
        # A product of 0 and inf is NaN in every row, and another rule's matter.
        return None
    if not fill.is_moved and all(site.masks for site in softmaxes):
        # What is NaN is thrown away, and the fill keeps the gradient off the scores.
        return None
    confidence = may_cover_a_row(fill.mask, source.code(each.mask))
    if confidence is not None and is_part_of_the_model(source, each.mask):
        return Confidence.POSSIBLE
    if confidence is not None and any(_FILTERS.search(name) for name in _scopes(source, fill.node)):
        return Confidence.POSSIBLE
    return confidence


def _of_large(source: Source, each: ScoreFill) -> Confidence | None:
    fill = each.fill
    if holds_large(fill.scores) or _is_told_by_dtype(source, each):
        return None
    if fill.scores.dtype is None and is_example_code(source) and not source.fact(HalfSupport).is_named:
        # An example that says nothing of float16 does not run in it.
        return Confidence.POSSIBLE
    if each.is_method:
        known = Confidence.CERTAIN if fill.scores.dtype == "float16" else Confidence.LIKELY
        return known if each.softmaxes or each.is_attention else Confidence.POSSIBLE
    if each.names <= {SAFE_ATTENTION} or not fill.is_whole:
        return None
    return may_cover_a_row(fill.mask, source.code(each.mask))


def _of_small(each: ScoreFill) -> Confidence | None:
    constant, is_added = each.fill.constant, each.fill.is_added
    if constant < _WEAK:
        return None
    if constant < -100:
        if is_added:
            # It moves a score from where it is: only a kept score that is lower by as much loses against it.
            return Confidence.POSSIBLE
        is_below_maximum = is_shifted_by_maximum(each.fill.scores)
        return Confidence.LIKELY if each.is_attention and not is_below_maximum else Confidence.POSSIBLE
    if constant <= -1:
        return Confidence.POSSIBLE if each.softmaxes else None
    if constant < 0:
        return Confidence.LIKELY if is_added or constant < -1e-3 else Confidence.CERTAIN
    if is_added or not each.softmaxes or may_cover_a_row(each.fill.mask, "mask") is None:
        return None
    return Confidence.LIKELY if each.is_method and constant > 0 else Confidence.POSSIBLE


def _small_problem(constant: float, *, is_added: bool = False) -> tuple[str, str]:
    """The witness, and what is wrong with a constant that does not mask."""
    if constant > 0:
        return f"softmax([{constant:g}, 0.0]) gives the masked first entry the most", "raises what it should mask"
    if constant > -1:
        weight = "1.0" if constant > -1e-5 else f"{math.exp(constant):.4g}"
        return f"exp({constant:g}) is {weight}, so a masked score weighs as much as a score of 0", "masks nothing"
    place = "the kept scores are lower by as much" if is_added else "the scores are as low themselves"
    return (
        f"softmax([{constant:g}, {constant - 120:g}]) is exactly [1.0, 0.0], so the masked first entry takes it all",
        f"does not mask where {place}",
    )


def _is_told_by_dtype(source: Source, each: ScoreFill) -> bool:
    """Whether the constant, or a branch around, depends on the dtype."""
    tests = [above.test for above in source.ancestors(each.fill.node) if isinstance(above, cst.If | cst.IfExp)]
    return any(_DTYPE_TEST.search(source.code(part)) for part in (each.value, *tests))


def _scopes(source: Source, node: cst.CSTNode) -> Iterator[str]:
    for above in source.ancestors(node):
        if isinstance(above, cst.FunctionDef | cst.ClassDef):
            yield above.name.value


def _scores_code(source: Source, each: ScoreFill) -> str:
    scores = each.scores
    is_named = (
        scores is not None and is_repeatable(scores) and not isinstance(scores, cst.BaseNumber | cst.UnaryOperation)
    )
    return receiver_code(source, scores) if scores is not None and is_named else "scores"


def _limit(each: ScoreFill) -> str:
    return "max" if each.fill.is_negated else "min"


def _fix(source: Source, each: ScoreFill) -> Fix | None:
    """The smallest number of the scores' dtype in the place of the constant."""
    fill, scores = each.fill, each.scores
    if scores is None or _scores_code(source, each) == "scores" != source.code(scores):
        return None
    if has_comment(source, each.value):
        return None
    if isinstance(each.value, cst.Name) and _is_parameter(source, each.value):
        return None
    limit = finfo(source, scores, _limit(each), at=fill.node)
    edits = (*limit.edits, replace(source, each.value, limit.code))
    is_same = each.names == {"softmax"} and not fill.is_moved and fill.constant <= _WEAK
    make = safe_fix if is_same else unsafe_fix
    return make("Fill with the limit of the dtype", *edits)


def _is_parameter(source: Source, node: cst.Name) -> bool:
    function = source.function_of(node)
    if function is None:
        return False
    parameters = function.params
    every = (*parameters.posonly_params, *parameters.params, *parameters.kwonly_params)
    return any(parameter.name.value == node.value for parameter in every)
