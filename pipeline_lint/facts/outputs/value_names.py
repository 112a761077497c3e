"""The name that a returned value already has in the code: what it would be called if outputs were named."""

from __future__ import annotations

import keyword

import libcst as cst

from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.source import Source

_SAME_VALUE = frozenset(
    {
        "bfloat16",
        "clone",
        "contiguous",
        "cpu",
        "detach",
        "double",
        "expand",
        "flatten",
        "float",
        "half",
        "permute",
        "reshape",
        "squeeze",
        "to",
        "transpose",
        "type_as",
        "unsqueeze",
        "view",
    }
)
"""Operations that give the same values in another form, so that the result keeps its input's name."""

NAMED_BY_OPERATION = frozenset(
    {"log_softmax", "logsigmoid", "normalize", "relu", "sigmoid", "softmax", "softplus", "tanh"}
)
"""Operations that name a value where nobody has a better word for it."""
_VERBS = ("get_", "compute_", "calculate_", "calc_", "make_", "build_")
_CONVERSIONS = frozenset({"bool", "dict", "float", "int", "list", "str", "tuple"})
_NO_NAMES = frozenset({"_", "__getitem__", "apply", "append", "call", "forward", "get", "item", "pop", "self", "super"})


def value_name(source: Source, node: cst.BaseExpression) -> str | None:
    """The variable, attribute, key, or called layer that a value comes from; None where there is no honest name."""
    name = _name(source, node)
    if name is None or name in _NO_NAMES or keyword.iskeyword(name):
        return None
    return name


def _name(source: Source, node: cst.BaseExpression) -> str | None:
    match node:
        case cst.Name(value="None" | "True" | "False"):
            return None
        case cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)):
            return name.strip("_") or None
        case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=cst.SimpleString() as key))]):
            text = key.evaluated_value
            return text if isinstance(text, str) and text.isidentifier() else None
        case cst.Subscript(
            value=cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)),
            slice=[cst.SubscriptElement(slice=cst.Index(value=cst.Name()))],
        ):
            return _singular(name.strip("_")) or None
        case cst.Call():
            return _called(source, node)
        case cst.Await(expression=inner):
            return _name(source, inner)
    return None


def _called(source: Source, call: cst.Call) -> str | None:
    operation = source.fact(Calls).operation(call)
    if operation is not None:
        if operation.name in _SAME_VALUE and operation.input is not None:
            return _name(source, operation.input)
        if operation.name in ("tensor", "as_tensor") and "data" in operation.operands:
            return _name(source, operation.operands["data"])
        return operation.name if operation.name in NAMED_BY_OPERATION else None
    match call:
        case cst.Call(func=cst.Name(value=function), args=[cst.Arg(value=argument)]) if function in _CONVERSIONS:
            return _name(source, argument)
        case cst.Call(func=cst.Name(value=name)) if name[0].isupper():
            return None
        case cst.Call(func=cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name))):
            return _without_verb(name.strip("_"))
        case cst.Call(func=cst.Subscript() as layer):
            return _name(source, layer)
    return None


def _singular(name: str) -> str:
    """One of many: an `image` of `self.images`. A word that no rule fits stays as it is."""
    for ending, replacement in (("ies", "y"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("s", "")):
        if name.endswith(ending) and not name.endswith(("ss", "us", "is")):
            singular = name.removesuffix(ending) + replacement
            return name if keyword.iskeyword(singular) or len(singular) < 3 else singular
    return name


def _without_verb(name: str) -> str | None:
    for verb in _VERBS:
        if name.startswith(verb):
            return name.removeprefix(verb) or None
    return name or None
