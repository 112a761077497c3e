"""TRN218: products with a mask, which make NaN of what they should throw away."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Fix
from pipeline_lint.edits import replace, safe_fix, unsafe_fix
from pipeline_lint.facts.code.inlining import argument_code, negated_code
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.guarding import finfo, has_comment, is_repeatable, receiver_code, shown
from pipeline_lint.facts.masking.double_where import guard_of, guarded_operand
from pipeline_lint.facts.masking.products import CONSTANT, SCORES, Cause, Product, products
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_WEIGHS = "exp(0.0) is 1.0, so a masked score weighs as much as a score of 0"


class MaskByMultiplication(Rule):
    """A product with a mask does not take away what is infinite or NaN: 0 * inf is NaN, and a score of 0 still weighs.

    Multiplying with 0 throws finite numbers away, and nothing else. In floating point 0 * inf and 0 * NaN are NaN, in
    float32, bfloat16 and float16 alike, so that `torch.log(x) * (x > 0)` is NaN just where it was to be 0, and the
    sum, the loss and every gradient with it. The same happens to `(1 - mask) * float("-inf")`, which is NaN where the
    mask is 1 and nothing was to change; to log probabilities that are -inf where they were masked, times a mask or
    times their own probability 0 (an entropy); and to distances times a mask of 1 and inf, where a distance is 0.

    Before a softmax a product masks nothing at all: `softmax(scores * mask)` makes the masked scores 0, and exp(0) is
    1, more than a negative score that was kept.

    `torch.where(mask, x, 0.0)` chooses and does not multiply. Where x itself is computed by an operation that goes
    wrong, the operation must be kept from it, because the gradient of `where` multiplies with 0, too:
    `torch.log(torch.where(x > 0, x, 1))`.

    Whether a factor can be infinite is taken from the ranges of values, so that plain products with a mask are silent.

    Bad:
        import torch

        def loss(x, weight):
            return -(torch.log(x) * (x > 0)) * weight
    Good:
        import torch

        def loss(x, weight):
            return -torch.log(torch.where(x > 0, x, 1.0)) * weight
    Exempt: products with what is finite; operations that are infinite where the mask is 1 as well, which are reported
        themselves (log-near-zero, division-near-zero, exp-overflow); infinite slopes of finite values, such as
        `torch.sqrt(x) * (x > 0)` (where-nan-gradient); a softmax whose result is multiplied with the mask once more;
        NaN that is written over where no gradient flows. An overflow behind a mask, `torch.exp(x) * (x < 0)`, takes
        more than a value at an edge, and is a possible defect.
    Fix: Safe, unsafe before a softmax: `scores + mask * inf` becomes `torch.where(mask != 0, inf, scores)`, a product
        with a mask `torch.where(mask != 0, x, 0.0)`, and an operation gets 1 or another harmless operand where the
        mask is 0. Before a softmax it is `masked_fill` with the smallest number of the dtype, which changes the
        weights. There is none where an operand would have to be written twice and is not cheap, nor for entropies.
    Source: pull requests that repaired such masks in pytorch-metric-learning and allennlp; the figures were measured
        with torch 2.13 on CPU.
    """

    code = "TRN218"
    triggers = ("inf", "log", "/", "exp", "oftmax", "sqrt", "pow", "reciprocal", "acos", "atanh", "erfinv")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every product with 0 of what may be infinite, and every product with a mask before a softmax."""
        if "*" not in source.text and "mul" not in source.text:
            return
        for product in products(source):
            yield _finding(source, product)


def _finding(source: Source, product: Product) -> Finding:
    return Finding(
        at=product.site.node,
        message=_message(source, product),
        confidence=product.confidence,
        witness=_WEIGHS if product.kind == SCORES else "0.0 * inf is NaN",
        fix=lambda: _fix(source, product),
    )


def _message(source: Source, product: Product) -> str:
    site = product.site
    whole, mask = _shown(source, site.node), _shown(source, site.operands[product.mask])
    masked = _shown(source, site.operands[product.masked])
    if product.kind == SCORES:
        return (
            f"`{whole}` masks no score, as a score of 0 keeps the weight exp(0) in the softmax; write `masked_fill` "
            "with `torch.finfo(scores.dtype).min`"
        )
    if product.cause is not None:
        cause, exclusion = product.cause
        operand, value = _shown(source, cause.operands[exclusion.hazard.operand]), exclusion.hazard.value
        return (
            f"`{whole}` is NaN although the mask is 0 where `{operand}` makes `{_shown(source, cause.node)}` {value}, "
            f"because 0 * {value} is NaN; give the operation another operand there by `torch.where`"
        )
    if product.kind == CONSTANT:
        return f"`{whole}` is NaN where `{mask}` is 0, because 0 * inf is NaN; write `torch.where` or `masked_fill`"
    return (
        f"`{whole}` is NaN where `{masked}` is infinite and `{mask}` is 0, because 0 * inf is NaN; write `torch.where` "
        "instead of the product"
    )


def _shown(source: Source, node: cst.BaseExpression | cst.BaseSmallStatement) -> str:
    code = shown(source, node)
    is_wrapped = isinstance(node, cst.BaseExpression) and len(node.lpar) == 1 and code.endswith(")")
    return code[1:-1] if is_wrapped and not isinstance(node, cst.Tuple) else code


def _fix(source: Source, product: Product) -> Fix | None:
    if has_comment(source, product.site.node):
        return None
    if product.cause is not None:
        return _fix_of_computed(source, product.cause)
    if product.kind == CONSTANT:
        return _fix_of_constant(source, product)
    return _fix_of_scores(source, product) if product.kind == SCORES else _fix_of_filled(source, product)


def _fix_of_constant(source: Source, product: Product) -> Fix | None:
    """`x + mask * inf` as `torch.where(mask != 0, inf, x)`."""
    site = product.site
    above = source.parent(site.node)
    infinity = argument_code(source, site.operands[product.masked])
    match above:
        case cst.BinaryOperation(operator=cst.Add(), left=left, right=right):
            scores = right if left is site.node else left
        case cst.BinaryOperation(operator=cst.Subtract(), left=scores, right=right) if right is site.node:
            infinity = negated_code(infinity)
        case _:
            return None
    if has_comment(source, above):
        return None
    where = source.fact(Names).reference("torch.where", at=above)
    code = f"{where.code}({_condition(source, product)}, {infinity}, {argument_code(source, scores)})"
    return safe_fix("Choose by the mask instead of adding a product", *where.edits, replace(source, above, code))


def _fix_of_filled(source: Source, product: Product) -> Fix | None:
    """`x * mask` as `torch.where(mask != 0, x, 0.0)`."""
    site = product.site
    is_mask = product.site.values[product.mask].low == 0 and product.site.values[product.mask].high == 1
    if not is_mask or not isinstance(site.node, cst.BinaryOperation) or site.values[product.mask].has_gradient:
        return None
    where = source.fact(Names).reference("torch.where", at=site.node)
    masked = argument_code(source, site.operands[product.masked])
    code = f"{where.code}({_condition(source, product)}, {masked}, 0.0)"
    return safe_fix("Choose by the mask instead of multiplying with it", *where.edits, replace(source, site.node, code))


def _fix_of_computed(source: Source, cause: Cause) -> Fix | None:
    """`log(x) * (x > 0)` as `log(torch.where(x > 0, x, 1)) * (x > 0)`."""
    guard = guard_of(source, cause.site, cause.exclusion)
    guarded = guarded_operand(source, cause.site, cause.exclusion, guard) if guard is not None else None
    return safe_fix("Keep the operand finite where the mask is 0", *guarded.edits) if guarded is not None else None


def _fix_of_scores(source: Source, product: Product) -> Fix | None:
    site = product.site
    scores = site.operands[product.masked]
    if not isinstance(site.node, cst.BinaryOperation) or not is_repeatable(scores):
        return None
    limit = finfo(source, scores, "min", at=site.node)
    mask = receiver_code(source, site.operands[product.mask])
    inverse = f"~{mask}" if site.values[product.mask].dtype == "bool" else f"{mask} == 0"
    code = f"{receiver_code(source, scores)}.masked_fill({inverse}, {limit.code})"
    return unsafe_fix("Fill the masked scores", *limit.edits, replace(source, site.node, code))


def _condition(source: Source, product: Product) -> str:
    mask = product.site.operands[product.mask]
    if product.site.values[product.mask].dtype == "bool":
        return argument_code(source, mask)
    return f"{receiver_code(source, mask)} != 0"
