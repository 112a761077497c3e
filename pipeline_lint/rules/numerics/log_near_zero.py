"""TRN204: the logarithm of a value that reaches zero."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Edit, Fix
from pipeline_lint.edits import replace, safe_fix, unsafe_fix
from pipeline_lint.facts.algebra.logarithm_formulas import LogarithmFormulas
from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.epsilon.clamp_bounds import bounds_past_domain
from pipeline_lint.facts.epsilon.dtype_operand import limit
from pipeline_lint.facts.guarding import has_comment, is_repeatable, receiver_code, shown
from pipeline_lint.facts.losses.log_hazards import (
    LOGARITHMS,
    Hit,
    argument_of,
    argument_value,
    has_argument,
    hit_of,
    is_entropy,
)
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_LONGEST_NAME = 30
_HELD_BY_ALL = "1e-7"
"""A bound where the dtype is not known: it is 0 in none of float32, bfloat16 and float16, as 1e-8 is in the last."""


class LogNearZero(Rule):
    """The logarithm of a value that can be 0 is -inf, and its gradient infinite; below 0 it is NaN.

    In exact arithmetic a probability is never 0, and a logarithm of one always finite. In floating point the quantities
    that a loss takes logarithms of do reach 0. A probability rounds to it: softmax([0.0, 104.0]) begins with exactly
    0.0 in float32, softmax([0.0, 18.0]) in float16. A product of probabilities underflows to it; masks and one-hot
    vectors consist of it. A norm, a variance, an overlap, a count are 0 for a vector of zeros, equal values, disjoint
    regions, an empty selection. `torch.rand` draws from [0, 1), 0 included, so that Gumbel noise -log(-log(u)) is -inf
    once in some million draws. log(0.0) is -inf with the gradient inf, and the next product with 0 makes NaN of either:
    0 * log(0.0) is NaN, as in every entropy -(p * log(p)) that is written out. A variance by difference,
    mean(x^2) - mean(x)^2, is even below 0 by rounding, where the logarithm itself is NaN. To bound the result, as in
    torch.clamp(torch.log(p), min=-100), cures the value and not the gradient, which is 0 * inf, NaN.

    A constant helps only if it survives rounding. log(p + 1e-8) is finite in float32 and bfloat16, but 1e-8 is 0.0 in
    float16. Near 1 the constant must be larger: log(1 - p + 1e-8) is finite, because 1 - p comes first, but 1 + 1e-8 is
    exactly 1.0 in float32, so log(1 + 1e-8 - p) is -inf at p = 1, and so is log(1 - p) after p.clamp(1e-8, 1 - 1e-8);
    1 - 1e-7 survives in float32, and is 1.0 in bfloat16 and float16. `clamp_min` at the dtype's own smallest number,
    `torch.finfo(p.dtype).tiny`, is right in every dtype: log(tiny) is -87.3 in float32, -87.5 in bfloat16, -9.7 in
    float16, and clamp's gradient for what lies below its bound is 0, so that nothing infinite is passed back.
    `torch.xlogy(p, p)` and `torch.special.entr(p)` are no cure: their value at 0 is 0, but their gradient NaN or inf.

    Bad:
        import torch

        def kl_divergence(p, q):
            return (p * (torch.log(p) - torch.log(q))).sum(dim=-1)
    Good:
        import torch

        def kl_divergence(p, q):
            tiny = torch.finfo(p.dtype).tiny
            return (p * (torch.log(p.clamp_min(tiny)) - torch.log(q.clamp_min(tiny)))).sum(dim=-1)
    Exempt: what the code proves positive: after `clamp(min=1e-6)` or `+ 1e-6`, behind `if count > 0:` or an assert, in
        `x[x > 0]`; a logarithm whose infinite results are thrown away afterwards by `torch.where`, an index or
        `masked_fill`, which is where-nan-gradient; logarithms of a sigmoid (log-of-sigmoid), a softmax
        (log-of-softmax), the exp of a log probability (exp-of-logsigmoid) and of sums of exponentials
        (unstable-identity); `xlogy` and `entr` where nobody differentiates; Python's `math` and numpy. Possible defects
        only, which `--min-confidence possible` shows: an argument of which nothing is known; one with a bound that is
        not known; a 0 that the code writes itself, by `torch.zeros` or a fill; a result that is made a whole number;
        what is computed from parameters alone, the mean of probabilities, the probability of what was drawn by it, what
        `masked_select` selected first, the scores of tokens in a search;
        the density of a distribution (`log_prob`); and, p log p apart, what stands in `__init__`, in metrics, schedules
        and the preparation of data.
    Fix: Safe, unsafe where the logarithm is used for more than p log p: `.clamp_min(torch.finfo(p.dtype).tiny)` on the
        argument of the logarithm. p * log(p.clamp_min(tiny)) is 0 at 0, as it should be, with a finite gradient;
        elsewhere the loss for a probability of 0 becomes 87 instead of inf, and its gradient 0. An argument that is no
        variable takes the dtype of an operand, as in `(1 - p).clamp_min(torch.finfo(p.dtype).tiny)`, and where
        none is at hand the bound is 1e-7, which float16 holds (1e-8 is 0 there), though in float16 the gradient of a
        logarithm overflows by itself below 1.5e-5. log1p is bounded at `torch.finfo(p.dtype).eps - 1`, counts at 1, and
        `xlogy(p, p)` and `entr(p)` are written as p * log(p.clamp_min(tiny)). There is none for work in place or with
        `out=`, for masks of unknown dtype, and where a comment would be lost.
    Source: the figures were measured with torch 2.13 on CPU; "Efficient PyTorch: Supercharging the Training Pipeline"
        (E. Khvedchenya, 2020), on logarithms of values that are not positive.
    """

    code = "TRN204"
    triggers = ("log(", "log_(", "log1p", "log2", "log10", "xlogy", "entr(", "log as")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every logarithm whose argument reaches 0, or falls below, and is not another rule's."""
        if "torch" not in source.text:
            return
        formulas = source.fact(LogarithmFormulas)
        for site in source.fact(Ranges).sites(*sorted(LOGARITHMS), "xlogy", "entr"):
            if not isinstance(site.node, cst.Call) or not has_argument(site):
                continue
            hit = hit_of(source, site)
            if hit is None or bounds_past_domain(source, site) is not None:
                continue
            if not formulas.has_function_of_its_own(site.node, argument_of(site)):
                yield _finding(source, site, hit)


def _finding(source: Source, site: Site, hit: Hit) -> Finding:
    hazard, evidence = hit
    argument, subject = shown(source, argument_of(site)), f"`{shown(source, site.node)}`"
    where = f"where `{argument}` {'is' if hit.is_at_edge else 'falls below'} {'-1' if site.name == 'log1p' else '0'}"
    feeds_entropy = is_entropy(source, site)
    match hazard.value:
        case "finite":
            problem = f"the gradient of {subject} is {'NaN' if hazard.gradient == 'nan' else 'infinite'} {where}"
        case "nan":
            problem = f"{subject} is NaN {where}"
        case _ if feeds_entropy:
            problem = f"{subject} times `{argument}` is NaN {where}"
        case _:
            problem = f"{subject} is -inf {where}"
    because = f" ({evidence.witness})" if evidence.confidence > Confidence.POSSIBLE else ""
    return Finding(
        at=site.node,
        message=f"{problem}{because}; {_remedy(source, site)}",
        confidence=evidence.confidence,
        witness=evidence.witness,
        fix=lambda: _fix(source, site, feeds_entropy=feeds_entropy),
    )


def _remedy(source: Source, site: Site) -> str:
    argument = argument_of(site)
    code = source.code(argument)
    is_short = is_repeatable(argument) and len(code) <= _LONGEST_NAME
    name = receiver_code(source, argument) if is_short else "x"
    tiny = f"{name}.clamp_min(torch.finfo({name}.dtype).tiny)"
    if argument_value(site).is_integer:
        return f"take the logarithm of `{name}.clamp_min(1)`"
    if site.name == "log1p":
        return "keep it above -1 with `x.clamp_min(torch.finfo(x.dtype).eps - 1)`"
    if site.name in LOGARITHMS:
        return f"take the logarithm of `{tiny}`" + ("" if is_short else f", where `x` is `{shown(source, argument)}`")
    factor = _factor(source, site)
    return f"write `{factor if is_short and factor else 'p'} * torch.log({tiny})`"


def _fix(source: Source, site: Site, *, feeds_entropy: bool) -> Fix | None:
    call, argument = site.node, argument_of(site)
    assert isinstance(call, cst.Call)
    operation = source.fact(Calls).operation(call)
    if operation is None or operation.is_inplace or "out" in operation.operands or has_comment(source, call):
        return None
    bound = _bound(source, site)
    if bound is None:
        return None
    bounded = f"{receiver_code(source, argument)}.clamp_min({bound[0]})"
    if site.name in LOGARITHMS:
        make = safe_fix if feeds_entropy else unsafe_fix
        return make("Bound the argument of the logarithm", *bound[1], replace(source, argument, bounded))
    factor = _factor(source, site)
    if factor is None or not is_repeatable(argument):
        return None
    log = source.fact(Names).reference("torch.log", at=call)
    code = f"{factor} * {log.code}({bounded})"
    edit = replace(source, call, f"({code})" if _needs_parentheses(source, call) else code)
    return safe_fix("Write p * log(p), bounded", *bound[1], *log.edits, edit)


def _bound(source: Source, site: Site) -> tuple[str, tuple[Edit, ...]] | None:
    """The smallest number that the logarithm may be of."""
    argument, value = argument_of(site), argument_value(site)
    if value.is_integer:
        return ("1", ()) if site.name != "log1p" and value.dtype != "bool" else None
    is_log1p = site.name == "log1p"
    found = limit(source, argument, value, "eps" if is_log1p else "tiny", at=site.node)
    if found is not None:
        return (f"{found.code} - 1" if is_log1p else found.code), found.edits
    is_computed = value.made is not None and not is_repeatable(argument)
    return (_HELD_BY_ALL, ()) if is_computed and not is_log1p else None


def _factor(source: Source, site: Site) -> str | None:
    """What the logarithm is multiplied with in p log p; None for the xlogy of two different values."""
    argument = argument_of(site)
    if site.name == "entr":
        return f"-{receiver_code(source, argument)}"
    factor = site.operands.get("input")
    if factor is None or source.code(factor) != source.code(argument):
        return None
    return receiver_code(source, factor)


def _needs_parentheses(source: Source, call: cst.Call) -> bool:
    """Whether a product in the place of the call would be taken apart by what stands around it."""
    return not isinstance(source.parent(call), cst.Arg | cst.Assign | cst.Return | cst.AnnAssign) and not call.lpar
