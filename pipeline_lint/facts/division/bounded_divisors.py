"""How to keep a divisor from being 0: `F.normalize`, `.clamp(min=1)` of a count, a bound that the dtype can hold."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.diagnostic import Edit, Fix
from pipeline_lint.edits import replace, safe_fix, unsafe_fix
from pipeline_lint.facts.code.calls import Calls, Operation
from pipeline_lint.facts.code.inlining import argument_code
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.epsilon.dtype_operand import limit
from pipeline_lint.facts.guarding import has_comment, is_repeatable, receiver_code
from pipeline_lint.facts.operations.results import NORMS
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import NUMBER, TENSOR, Value
from pipeline_lint.source import Source

_HELD_BY_ALL = "1e-6"
"""A bound for what may hold whole numbers, whose dtype `torch.finfo` refuses; 1e-8 would be 0 in float16."""
_OF_FLOATS_ONLY = frozenset(
    """cosine_similarity div exp expm1 linalg_norm log log1p log2 log10 mean norm normalize sigmoid sin softmax softplus
    sqrt std tanh var vector_norm matrix_norm mse_loss l1_loss cross_entropy linear""".split()
)
"""Operations that refuse whole numbers, or turn them into floats."""
_DEEPEST = 6


def count_bounded(source: Source, node: cst.BaseExpression, value: Value) -> Fix | None:
    """At least 1, for a divisor that counts; None where it is not known whether that is a tensor or a number.

    Safe where the code says that it counts whole things, unsafe where only its name does.
    """
    if has_comment(source, node):
        return None
    if value.kind == NUMBER:
        bounded = f"max({argument_code(source, node)}, 1)"
    elif value.kind == TENSOR:
        bounded = f"{receiver_code(source, node)}.clamp(min=1)"
    else:
        return None
    make = safe_fix if value.made is not None else unsafe_fix
    return make("Divide by at least 1", replace(source, node, bounded))


def normalized(source: Source, site: Site) -> Fix | None:
    """`F.normalize(x, dim=1)` for `x / x.norm(dim=1, keepdim=True)`."""
    node, divisor = site.node, site.operands.get("other")
    norm = source.fact(Calls).operation(divisor) if divisor is not None else None
    numerator = site.operands.get("input")
    if not isinstance(node, cst.BinaryOperation) or norm is None or numerator is None or norm.name not in NORMS:
        return None
    code = argument_code(source, numerator)
    is_own = norm.input is not None and argument_code(source, norm.input) == code
    if not is_own or not is_repeatable(numerator) or has_comment(source, node):
        return None
    arguments = _normalization(source, norm)
    if arguments is None:
        return None
    reference = source.fact(Names).reference("torch.nn.functional.normalize", at=node)
    eps = ""
    if site.values["other"].dtype == "float16":
        bound = source.fact(Names).reference("torch.finfo", at=node)
        eps = f", eps={bound.code}({code}.dtype).eps"
    fixed = replace(source, node, f"{reference.code}({code}{arguments}{eps})")
    return unsafe_fix("Replace with `F.normalize`", *reference.edits, fixed)


def _normalization(source: Source, norm: Operation) -> str | None:
    """The arguments of `F.normalize`; None where the norm is not one along a dimension that it keeps."""
    operands = norm.operands
    dim, order = operands.get("dim"), operands.get("p") or operands.get("ord")
    known = {"input", "p", "ord", "dim", "keepdim"}
    is_kept = isinstance(operands.get("keepdim"), cst.Name) and source.code(operands["keepdim"]) == "True"
    if dim is None or not is_kept or not operands.keys() <= known or norm.name == "matrix_norm":
        return None
    if not isinstance(dim, cst.Integer | cst.UnaryOperation | cst.Name | cst.Attribute):
        return None
    exponent = source.code(order) if order is not None else "2"
    if exponent in ("2", "2.0", "None"):
        return f", dim={source.code(dim)}"
    return f", p={exponent}, dim={source.code(dim)}" if isinstance(order, cst.Integer | cst.Float) else None


def divisor_bounded(source: Source, site: Site, name: str) -> Fix | None:
    """The fix that keeps the operand `name`, a divisor, from 0; None where that would not plainly be right."""
    node, value = site.operands[name], site.values[name]
    if has_comment(source, node):
        return None
    if value.is_count or is_size_less_one(value):
        return count_bounded(source, node, value) if value.low >= 0 or is_size_less_one(value) else None
    if value.kind != TENSOR:
        return None
    found = normalized(source, site) if name == "other" else None
    if found is not None:
        return found
    bound: str = _HELD_BY_ALL
    edits: tuple[Edit, ...] = ()
    if _holds_floats(value):
        eps = limit(source, node, value, "eps", at=site.node)
        if eps is not None:
            bound, edits = eps.code, eps.edits
    code = receiver_code(source, node)
    if is_never_negative(value):
        return unsafe_fix("Bound the divisor", *edits, replace(source, node, f"{code}.clamp_min({bound})"))
    if value.made is not None and value.made.operation == "sum":
        return unsafe_fix("Add an epsilon to the divisor", *edits, replace(source, node, f"({code} + {bound})"))
    return None


def is_never_negative(value: Value) -> bool:
    """Whether the code says so, and not only a name."""
    if value.made is None:
        return bool(value.choices) and all(map(is_never_negative, value.choices))
    return value.low >= 0


def is_size_less_one(value: Value) -> bool:
    """Whether a number is `n - 1` of a count `n`."""
    made = value.made
    return (
        value.kind == NUMBER
        and made is not None
        and made.operation == "sub"
        and made.inputs[0].is_count
        and made.inputs[1].is_constant
        and made.inputs[1].low == 1
    )


def _holds_floats(value: Value, depth: int = 0) -> bool:
    """Whether a tensor is one of floats for certain."""
    if value.dtype is not None:
        return value.dtype not in ("int64", "bool")
    made = value.made
    if made is None or depth > _DEEPEST:
        return False
    return made.operation in _OF_FLOATS_ONLY or any(_holds_floats(each, depth + 1) for each in made.inputs)
