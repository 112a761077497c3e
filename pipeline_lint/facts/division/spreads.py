"""Standard deviations and variances: over how many elements they go, and whether they divide by one less."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import replace, unsafe_fix
from pipeline_lint.facts.code.calls import Calls, Operation
from pipeline_lint.facts.code.guards import conditions
from pipeline_lint.facts.gradient_reach import may_be_differentiated
from pipeline_lint.facts.guarding import has_comment
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.syntax import is_word, last_name
from pipeline_lint.facts.ranges.value import NUMBER, OTHER, TENSOR, Evidence
from pipeline_lint.facts.trained_code import is_model_or_loss, is_test_code
from pipeline_lint.source import Source

_EPISODE = re.compile(
    r"(^|_)(returns?|rewards?|rews?|advantages?|advs?|adv|gaes?|discounted|disc_?rewards?|reward_to_go)(_|$)|^R$"
)
_OF_MODEL = re.compile(r"(^|_)(params?|parameters?|grads?|gradients?|weights?)(_|$)|^p$")
_LENGTH = re.compile(r"len|length|size|num_frames", re.IGNORECASE)
_ASKS_SIZE = re.compile(
    r"numel\(|nelement\(|\blen\(|\.shape\b|\.size\(|(^|\W)(n|num_\w+|\w*(size|count|length))(\W|$)|isnan|isfinite|nan_to_num"
)
"""What a test says that asks how many elements there are, or looks at the result."""
_SAMPLES = re.compile(r"(^|_)(prior|posterior|thetas?|particles?|chains?|draws?|ensemble|samples?)(_|$)")
"""Names of what is drawn as often as somebody asked for."""
_GRAPHS = frozenset("g graph edge_index adj adj_t".split())
_FLATTENING = re.compile(r"(view|reshape)\(\s*\(?-1\s*,|flatten\(\s*(0|end_dim)|rearrange\(.*-> ?\(")
_PARAMETERS_OF_METHOD = ("dim", "unbiased", "keepdim")
_NOTHING_KNOWN = Evidence(Confidence.POSSIBLE, "nothing in the code rules it out")


def is_of_several(source: Source, site: Site) -> bool:
    """Whether a spread divides by the number of elements, or code around it asks for that number.

    numpy's always divides by it; what takes an `axis` and is not known to be a tensor is numpy's.
    """
    if site.input.kind == OTHER or (site.input.kind != TENSOR and _has_axis(site.node)):
        return True
    for name in ("correction", "unbiased"):
        value = site.values.get(name)
        if value is not None:
            return not (value.is_constant and value.low == 1)
    if _is_flag(site.operands.get("dim"), "False"):
        # `x.std(False)` is the overload that takes `unbiased` first.
        return True
    return any(_ASKS_SIZE.search(source.module.code_for_node(test)) for test in conditions(source, site.node))


def why_one(source: Source, site: Site) -> Evidence:
    """Why a spread is one of a single element at times."""
    if is_test_code(source):
        return _NOTHING_KNOWN
    node, dim = site.operands["input"], site.values.get("dim")
    is_over_all = dim is None or _is_flag(site.operands.get("dim"), "True")
    is_along_first = dim is not None and dim.kind == NUMBER and dim.is_constant and dim.low == 0 and not is_over_all
    if is_over_all and any(map(_EPISODE.search, _names_of(node))):
        return Evidence(Confidence.LIKELY, "an episode of one step")
    if is_over_all and _is_of_parameter(source, node):
        return Evidence(Confidence.LIKELY, "a parameter of one element")
    if is_along_first and _is_cut_to_length(node):
        return Evidence(Confidence.LIKELY, "a sequence of length 1")
    if is_along_first and _is_of_batch(source, site):
        return Evidence(Confidence.LIKELY, "a batch of one")
    return _NOTHING_KNOWN


def biased(source: Source, site: Site) -> Fix | None:
    """`correction=0` in the place of `unbiased`, or added; the other arguments stay."""
    call = site.node
    operation = source.fact(Calls).operation(call)
    if not isinstance(call, cst.Call) or operation is None or "out" in operation.operands or has_comment(source, call):
        return None
    arguments: list[str] = []
    is_replaced = False
    for position, argument in enumerate(call.args):
        name = _parameter(operation, argument, position)
        code = source.code(argument.value)
        if name in ("unbiased", "correction") or (name == "dim" and _is_flag(argument.value, "True")):
            arguments.append("correction=0")
            is_replaced = True
        elif argument.keyword is not None or is_replaced:
            arguments.append(f"{name}={code}")
        else:
            arguments.append(code)
    if not is_replaced:
        arguments.append("correction=0")
    code = f"{source.code(call.func)}({', '.join(arguments)})"
    return unsafe_fix("Divide by the number of elements", replace(source, call, code))


def _has_axis(node: cst.CSTNode) -> bool:
    if not isinstance(node, cst.Call) or (isinstance(node.func, cst.Attribute) and is_word(node.func.value, "torch")):
        return False
    return any(argument.keyword is not None and argument.keyword.value == "axis" for argument in node.args)


def _parameter(operation: Operation, argument: cst.Arg, position: int) -> str:
    if argument.keyword is not None:
        return argument.keyword.value
    names = _PARAMETERS_OF_METHOD if operation.is_method else ("input", *_PARAMETERS_OF_METHOD)
    return names[position]


def _is_flag(node: cst.BaseExpression | None, value: str) -> bool:
    return isinstance(node, cst.Name) and node.value == value


def _names_of(node: cst.BaseExpression) -> Iterator[str]:
    """The names of what a spread is of: `rewards` of `batch.rewards[i].data`, both of `returns - values`."""
    match node:
        case cst.Attribute(value=inner, attr=cst.Name(value="data")) | cst.Subscript(value=inner):
            yield from _names_of(inner)
        case cst.Call(func=cst.Attribute(value=inner)):
            yield from _names_of(inner)
        case cst.BinaryOperation(left=left, right=right):
            yield from _names_of(left)
            yield from _names_of(right)
        case _:
            yield last_name(node)


def _is_of_parameter(source: Source, node: cst.BaseExpression) -> bool:
    """Whether a tensor is one of those that a loop over a model's parameters goes through, or its gradient."""
    base = node
    while isinstance(base, cst.Attribute | cst.Call | cst.Subscript):
        base = base.func if isinstance(base, cst.Call) else base.value
    if not isinstance(base, cst.Name):
        return False
    for above in source.ancestors(node):
        loop = above.for_in if isinstance(above, cst.BaseComp) else above
        if isinstance(loop, cst.For | cst.CompFor) and "parameters(" in source.module.code_for_node(loop.iter):
            return base.value in _targets(loop.target) or _OF_MODEL.search(base.value) is not None
    return False


def _targets(target: cst.BaseExpression) -> set[str]:
    if isinstance(target, cst.Tuple | cst.List):
        return {name for element in target.elements for name in _targets(element.value)}
    return {target.value} if isinstance(target, cst.Name) else set()


def _is_cut_to_length(node: cst.BaseExpression) -> bool:
    """Whether the first dimension that is left is a slice up to some length: `x[i, :length]`."""
    if not isinstance(node, cst.Subscript):
        return False
    part = next((each.slice for each in node.slice if isinstance(each.slice, cst.Slice)), None)
    return part is not None and part.upper is not None and _LENGTH.search(last_name(part.upper)) is not None


def _is_of_batch(source: Source, site: Site) -> bool:
    """Whether the first dimension is that of the batch, as a model or loss is given it."""
    if not may_be_differentiated(source, site) or not is_model_or_loss(source, site.node):
        return False
    made = site.input.made
    if made is not None and made.operation in ("stack", "cat", "concat"):
        # Several of them, as many as are written out or a list has.
        return False
    if _is_of_graph(source, site.node):
        return False
    names = [*_names_of(site.operands["input"]), site.function.name.value if site.function is not None else ""]
    return not any(map(_SAMPLES.search, names)) and not _is_flattened(source, site)


def _is_of_graph(source: Source, node: cst.CSTNode) -> bool:
    """Whether the class around is given a graph, so that the first dimension is that of its nodes or edges."""
    owner = source.enclosing(node, cst.ClassDef)
    methods = (each for each in owner.body.body if isinstance(each, cst.FunctionDef)) if owner is not None else ()
    return any(
        parameter.name.value in _GRAPHS
        for method in methods
        if method.name.value == "forward"
        for parameter in method.params.params
    )


def _is_flattened(source: Source, site: Site) -> bool:
    """Whether positions within the samples stand along the first dimension as well: `x.view(-1, channels)`."""
    node, function = site.operands["input"], site.function
    codes = [source.module.code_for_node(node)]
    if isinstance(node, cst.Name) and function is not None:
        code = source.module.code_for_node(function)
        codes += re.findall(rf"\b{re.escape(node.value)} = (.*)", code)
    return any(_FLATTENING.search(code) for code in codes)
