"""Which values are the cosine or sine of an angle: what an acos is taken of reaches 1 where directions agree."""

from __future__ import annotations

import re
from typing import NamedTuple

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.code.value_history import names_in
from pipeline_lint.facts.ranges.value import Evidence, Made, Value
from pipeline_lint.source import Source

_DOT_PRODUCTS = frozenset("matmul mm bmm einsum dot inner mv vdot linear cosine_similarity".split())
_KEEPING = frozenset(
    """neg clamp clamp_min clamp_max item squeeze unsqueeze view reshape detach float double to sub rsub abs""".split()
)
_NORMS = frozenset({"norm", "linalg_norm", "vector_norm", "sqrt"})
_ROTATION = re.compile(
    r"^(R|rot|rots|Rs|rotmats?|rot_?mat(rix|rices)?|rotations?|rotation_matri(x|ces)|R_?[a-z0-9]{0,4})$|(^|_)(rot|rotation)(_|$)"
)
_QUATERNION = re.compile(r"(^|_)(quat|quats|quaternions?)(_|$|\d)", re.IGNORECASE)
_ACTION = re.compile(r"action|squash|tanh", re.IGNORECASE)
_CORRELATION = re.compile(r"(^|_)(corr\w*|rho|pearson\w*)(_|$|\d)", re.IGNORECASE)
_CONVERSION = re.compile(r"rot|quat|euler|angle|axis|so3|se3|log_?map", re.IGNORECASE)
_COSINE = re.compile(
    r"(^|_)(cos\w*|sin\w*|dots?|dot_?prod\w*|inner\w*|sims?|similarit\w+|corr\w*)(_|$|\d)", re.IGNORECASE
)
_DEEPEST = 6


class Edge(NamedTuple):
    """Why a value is 1 at times."""

    evidence: Evidence
    is_crossed: bool
    """Whether rounding takes the value beyond 1."""


def _edge(witness: str, *, is_crossed: bool = True) -> Edge:
    return Edge(Evidence(Confidence.LIKELY, witness), is_crossed)


_PARALLEL = _edge("the cosine of parallel vectors is 1, or by rounding 1.0000001")
_COMPONENT = _edge("a vector along an axis has a component of its whole length", is_crossed=False)
_IDENTITY = _edge("the trace of a rotation by 0 is 3, or by rounding 3.0000002")
_AXES = _edge("an entry of a rotation about an axis by 90 degrees is 1, or by rounding 1.0000001")
_SATURATED = _edge("a squashed action is 1 where tanh saturates", is_crossed=False)
_CORRELATED = _edge("the correlation of proportional series is 1, or by rounding 1.0000001")
_BOUNDARY = _edge("a point at the boundary of the ball has the norm 1", is_crossed=False)
_POINT = _edge("the distance of equal points is 0", is_crossed=False)
_CROSSED_POINT = _edge("the distance of equal points is 0, or by rounding less")
_NO_ROTATION = _edge("the real part of a quaternion without rotation is 1", is_crossed=False)


def edge_of(source: Source, function: str, argument: cst.BaseExpression, value: Value) -> Edge | None:
    """Why the argument of an inverse function, whose range is not known, is 1 at times; None where nothing tells."""
    match function:
        case "acos" | "asin":
            return _edge_of_value(value) or _edge_of_code(source, argument, value)
        case "atanh":
            return _edge_of_atanh(argument, value)
        case "acosh":
            # Of what else than a distance in hyperbolic space?
            return _POINT if value.low >= 1 else _CROSSED_POINT
    return None


def _edge_of_atanh(argument: cst.BaseExpression, value: Value) -> Edge | None:
    made, name = value.made, _name(argument)
    if value.is_unknown and _ACTION.search(name):
        return _SATURATED
    if value.is_unknown and _CORRELATION.search(name):
        return _CORRELATED
    if made is not None and made.operation == "div" and _is_norm(made.inputs[1]):
        return _CORRELATED
    return _BOUNDARY if _is_norm(value) else None


def _edge_of_value(value: Value, depth: int = 0) -> Edge | None:
    made = value.made
    if made is None or depth > _DEEPEST or not made.inputs:
        return None
    name, inputs = made.operation, made.inputs
    if name in _DOT_PRODUCTS:
        return None if _is_attention(made.node) or any(map(_is_axis, inputs)) else _PARALLEL
    if name == "sum" and inputs[0].made is not None and inputs[0].made.operation == "mul":
        one, other = (*inputs[0].made.inputs, Value(), Value())[:2]
        return _PARALLEL if not (one.is_constant or other.is_constant) else None
    if name in ("div", "mul") and len(inputs) == 2:
        return _edge_of_product(made, depth)
    if name in _KEEPING:
        return _edge_of_value(inputs[-1] if name in ("sub", "rsub") else inputs[0], depth + 1)
    return None


def _is_axis(value: Value) -> bool:
    """Whether a vector is written out: its product with another one is a component, which rounding keeps below 1."""
    return value.made is not None and value.made.operation in ("tensor", "eye", "one_hot")


def _is_attention(node: cst.CSTNode) -> bool:
    """Whether a product is of queries and keys, which two networks give: they are not parallel."""
    names = {name.lower() for name in names_in(node)}
    return any(name.startswith(("query", "q_")) for name in names) and any(n.startswith(("key", "k_")) for n in names)


def _is_component(quotient: cst.CSTNode, norm: Value) -> bool:
    """`v[..., 2] / v.norm(dim=-1)`: rounding does not take an item of a vector over its own norm beyond 1."""
    made = norm.made
    while made is not None and made.operation not in _NORMS and made.inputs:
        made = made.inputs[0].made
    match quotient:
        case cst.BinaryOperation(left=cst.Subscript(value=cst.Name(value=vector))) if made is not None:
            return vector in names_in(made.node)
    return False


def _edge_of_product(made: Made, depth: int) -> Edge | None:
    name, inputs = made.operation, made.inputs
    if name == "div" and _is_norm(inputs[1]):
        return _COMPONENT if _is_component(made.node, inputs[1]) else _PARALLEL
    for each, factor in (inputs, inputs[::-1]):
        if not factor.is_constant:
            continue
        if abs(factor.low) == 1:
            return _edge_of_value(each, depth + 1)
        inner = each.made
        if factor.low == (2 if name == "div" else 0.5) and inner is not None and inner.operation == "sub":
            # (trace - 1) / 2
            return _IDENTITY if inner.inputs[-1].is_constant and inner.inputs[-1].low == 1 else None
    return None


def _is_norm(value: Value, depth: int = 0) -> bool:
    made = value.made
    if made is None or depth > _DEEPEST:
        return False
    if made.operation in _NORMS:
        return True
    return made.operation in ("mul", "add", "clamp", "clamp_min", "maximum") and any(
        _is_norm(each, depth + 1) for each in made.inputs
    )


def _edge_of_code(source: Source, argument: cst.BaseExpression, value: Value) -> Edge | None:
    """Cosines, and entries of rotation matrices and quaternions, by name."""
    if value.is_unknown and _COSINE.search(_name(argument)):
        return _PARALLEL
    node = _entry(argument)
    made = value.made
    if node is None and made is not None:
        node = made.node if isinstance(made.node, cst.Subscript) else None
    if node is None:
        return None
    name = _name(node.value)
    num_indices = sum(isinstance(part.slice, cst.Index) for part in node.slice)
    if _QUATERNION.search(name):
        return _NO_ROTATION
    is_conversion = _converts(source, node)
    if name == "q" and is_conversion:
        return _NO_ROTATION
    is_matrix = _ROTATION.search(name) is not None or (name in ("matrix", "mat", "M", "m") and is_conversion)
    return _AXES if num_indices >= 2 and is_matrix else None


def _name(node: cst.BaseExpression) -> str:
    match node:
        case cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)):
            return name
    return ""


def _entry(argument: cst.BaseExpression) -> cst.Subscript | None:
    """The subscript in `R[..., 0, 2]`, `-R[2, 0]`, `matrix[..., 0, 1] * sign`."""
    match argument:
        case cst.Subscript():
            return argument
        case cst.UnaryOperation(expression=inner):
            return _entry(inner)
        case cst.BinaryOperation(operator=cst.Multiply(), left=left, right=right):
            return _entry(left) or _entry(right)
        case cst.Call(func=cst.Attribute(value=receiver, attr=cst.Name(value=name)), args=args) if name in _KEEPING:
            is_function = isinstance(receiver, cst.Name) and args and receiver.value in ("torch", "F")
            return _entry(args[0].value if is_function else receiver)
    return None


def _converts(source: Source, node: cst.CSTNode) -> bool:
    """Whether the function around a node is one about rotations."""
    function = source.function_of(node)
    return isinstance(function, cst.FunctionDef) and bool(_CONVERSION.search(function.name.value))
