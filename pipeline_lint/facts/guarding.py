"""Writing a bound around an operand: `torch.log(p)` becomes `torch.log(p.clamp_min(torch.finfo(p.dtype).tiny))`."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.diagnostic import Edit
from pipeline_lint.edits import replace
from pipeline_lint.facts.code.names import Names, Reference
from pipeline_lint.source import Source

_ATOMS = (cst.Name, cst.Attribute, cst.Call, cst.Subscript)
_SHORTEST_ELLIPSIS = 60


def receiver_code(source: Source, node: cst.BaseExpression) -> str:
    """The node's code as something that a method can be called on: in parentheses where it has an operator."""
    code = source.code(node)
    return code if isinstance(node, _ATOMS) or node.lpar else f"({code})"


def shown(source: Source, node: cst.CSTNode, *, limit: int = _SHORTEST_ELLIPSIS) -> str:
    """The node's code in one line, as a message can quote it; shortened where it is long."""
    # Rendered alone: most messages are of findings that are not shown, and a position costs the statement around it.
    code = " ".join(source.module.code_for_node(node).split())
    return code if len(code) <= limit else f"{code[: limit - 3]}..."


def is_repeatable(node: cst.CSTNode) -> bool:
    """Whether evaluating the expression once more is free and gives the same: names, attributes and items of them."""
    match node:
        case cst.Name() | cst.BaseNumber() | cst.SimpleString():
            return True
        case cst.Attribute(value=value):
            return is_repeatable(value)
        case cst.Subscript(value=value, slice=parts):
            return is_repeatable(value) and all(is_repeatable(part.slice) for part in parts)
        case cst.Index(value=value):
            return is_repeatable(value)
        case cst.Slice(lower=lower, upper=upper, step=step):
            return all(part is None or is_repeatable(part) for part in (lower, upper, step))
        case cst.UnaryOperation(expression=inner):
            return is_repeatable(inner)
        case cst.Ellipsis():
            return True
    return False


def has_comment(source: Source, node: cst.CSTNode) -> bool:
    """Whether there is a comment inside the node, which a fix that writes it anew would lose."""
    return "#" in source.code(node)


def finfo(source: Source, dtype_of: cst.BaseExpression, limit: str, *, at: cst.CSTNode) -> Reference:
    """How to write `torch.finfo(x.dtype).LIMIT` at a node; `dtype_of` is `x`, which must be repeatable."""
    reference = source.fact(Names).reference("torch.finfo", at=at)
    return Reference(f"{reference.code}({receiver_code(source, dtype_of)}.dtype).{limit}", reference.edits)


def with_method(source: Source, node: cst.BaseExpression, call: str) -> Edit:
    """The edit that calls a method on an operand where it stands: `p` becomes `p.clamp_min(eps)`."""
    return replace(source, node, f"{receiver_code(source, node)}.{call}")


def with_keyword(source: Source, call: cst.Call, code: str) -> Edit:
    """The edit that gives a call one more argument, which has a keyword: `x.sum()` becomes `x.sum(dtype=dtype)`."""
    if call.args:
        _, end = source.span(call.args[-1].value)
        return source.document.edit(end, end, f", {code}")
    _, end = source.span(call.func)
    inside = source.text.index("(", end) + 1
    return source.document.edit(inside, inside, code)
