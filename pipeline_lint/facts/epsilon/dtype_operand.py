"""Which operand of an expression has its dtype: what a limit such as `torch.finfo(x.dtype).tiny` is asked of."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.names import Names, Reference
from pipeline_lint.facts.guarding import is_repeatable, receiver_code
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.value import NUMBER, TENSOR, Value
from pipeline_lint.source import Source

_KEEPS_DTYPE = frozenset(
    """abs add amax amin clamp clamp_max clamp_min clone contiguous cos cosine_similarity cummax cumprod cumsum detach
    diagonal div exp expand expand_as expm1 flatten flip gather index_fill index_select linalg_norm log
    log_softmax logsigmoid masked_fill masked_select max maximum mean median min minimum mul narrow neg norm
    normalize permute pow prod relu repeat reshape roll rsub scatter select sigmoid sin softmax softplus sqrt
    square squeeze std sub sum t take_along_dim tanh trace transpose unsqueeze var vector_norm view view_as
    where""".split()
)
"""Operations whose result has the dtype of their input, if that is one of floats; of two tensors, in most code."""
_PAIRS = frozenset({"max", "min", "median"})
"""Operations that give a pair of values and indices along a dim."""
_MATRIX = (cst.MatrixMultiply, cst.BitAnd, cst.BitOr, cst.BitXor)
"""Operators that autocast computes in another dtype, or that are none of floats."""
_DEEPEST = 8


def dtype_operand(source: Source, node: cst.BaseExpression, value: Value, depth: int = 0) -> cst.BaseExpression | None:
    """The operand that has the dtype of an expression of floats and may be evaluated once more; None if there is none.

    `value` is the expression's. Only what must be a tensor is taken: `n` in `x / n` may be a number of Python's.
    """
    if depth > _DEEPEST or value.kind == NUMBER or value.is_integer or _is_mask_of_unknown_dtype(value):
        return None
    match node:
        case cst.BaseNumber() | cst.BaseString():
            return None
        case cst.UnaryOperation(expression=inner):
            return dtype_operand(source, inner, _operand_value(source, node, "input", value), depth + 1)
        case cst.BinaryOperation(left=left, right=right, operator=operator):
            return None if isinstance(operator, _MATRIX) else _of_sides(source, node, left, right, depth)
    if is_repeatable(node):
        return node.value if isinstance(node, cst.Subscript) and _is_of_tensor(node) else node
    match node:
        case cst.Call():
            operation = source.fact(Calls).operation(node)
            if operation is None or operation.name not in _KEEPS_DTYPE or "dtype" in operation.operands:
                return None
            if operation.name in _PAIRS and "dim" in operation.operands:
                return None
            name = "x1" if operation.name == "cosine_similarity" else "input"
            receiver = operation.operands.get(name)
            if receiver is None:
                return None
            return dtype_operand(source, receiver, _operand_value(source, node, name, Value()), depth + 1)
        case cst.Subscript(value=inner):
            return dtype_operand(source, inner, value, depth + 1)
    return None


def limit(source: Source, node: cst.BaseExpression, value: Value, name: str, *, at: cst.CSTNode) -> Reference | None:
    """How to write `torch.finfo(...).NAME` for the dtype of an expression; None where the code does not tell it."""
    reference = source.fact(Names).reference("torch.finfo", at=at)
    operand = dtype_operand(source, node, value)
    if operand is not None:
        return Reference(f"{reference.code}({receiver_code(source, operand)}.dtype).{name}", reference.edits)
    if value.dtype in ("float16", "bfloat16", "float32", "float64"):
        dtype = source.fact(Names).reference(f"torch.{value.dtype}", at=at)
        return Reference(f"{reference.code}({dtype.code}).{name}", (*reference.edits, *dtype.edits))
    return None


def _of_sides(
    source: Source, node: cst.BinaryOperation, left: cst.BaseExpression, right: cst.BaseExpression, depth: int
) -> cst.BaseExpression | None:
    second = "exponent" if isinstance(node.operator, cst.Power) else "other"
    one, other = (_operand_value(source, node, name, Value()) for name in ("input", second))
    for side, value, beside in ((left, one, other), (right, other, one)):
        # One of the two is a tensor, so that beside a number it is this one.
        is_tensor = value.kind == TENSOR or (isinstance(side, cst.Subscript) and _is_of_tensor(side))
        if is_tensor or (value.kind != NUMBER and beside.kind == NUMBER):
            found = dtype_operand(source, side, value, depth + 1)
            if found is not None:
                return found
    return None


def _is_of_tensor(node: cst.Subscript) -> bool:
    """Whether a subscript has what only a tensor takes: several indices, an ellipsis, a slice that gives a tensor."""
    if len(node.slice) > 1:
        return True
    index = node.slice[0].slice
    return isinstance(index, cst.Slice) or (isinstance(index, cst.Index) and isinstance(index.value, cst.Ellipsis))


def _operand_value(source: Source, node: cst.CSTNode, name: str, default: Value) -> Value:
    site = source.fact(Ranges).site(node)
    return site.values.get(name, default) if site is not None else default


def _is_mask_of_unknown_dtype(value: Value) -> bool:
    """Whether a value may be a tensor of booleans or whole numbers, which `torch.finfo` refuses."""
    return value.dtype is None and value.made is None and not value.has_gradient
