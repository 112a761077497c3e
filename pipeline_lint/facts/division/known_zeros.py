"""Code that knows of its zeros: it asks for them elsewhere, expects NaN, or is a test, a plot, a metric."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

import libcst as cst

from pipeline_lint.facts.code.unwrapping import unwrapped
from pipeline_lint.facts.code.value_history import names_in
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.trained_code import is_test_code, is_trained_code
from pipeline_lint.source import Source

_NAN_HANDLED = re.compile(
    r"isnan\(|nan_to_num|errstate|isfinite\(|nanmean\(|nansum\(|nanmedian\(|is_?inf\(|replace_inf"
)
_SHOWING = re.compile(r"(^|_)(plots?|plotting|repr|tensorboard|print|tests?|benchmarks?|demo)(_|$)", re.IGNORECASE)
_METRIC = re.compile(r"(^|_)metrics?(_(?!learning)|$)|Metrics?$|^diagnostics$|^stats$")
_METRIC_NAME = re.compile(r"Metric|Accuracy|Recall|Precision|Score|F1")
_RATE = re.compile(r"(^|_)(acc|f1|auc|metrics?|logs?|stats|logging_output)(_|$)")
"""Names of what is reported, and of the dicts that it is put into."""
_TABLE = re.compile(r"pos(ition\w*)?_?(enc|emb)\w*$|sinusoid", re.IGNORECASE)
"""Names of functions that compute a table from positions alone."""
_ASKED_FOR_VALUE = frozenset("compute get_metric get value result get_value".split())


def is_shown_or_tested(source: Source, node: cst.CSTNode) -> bool:
    """Whether a node stands in a test, or in what makes a plot or a text."""
    return is_test_code(source) or _is_code_of(source, node, _SHOWING)


def is_in_metrics(source: Source, node: cst.CSTNode) -> bool:
    """Whether a node stands in the code of metrics, by the names of files, folders and classes."""
    return _is_code_of(source, node, _METRIC)


def is_value_of_metric(source: Source, node: cst.CSTNode) -> bool:
    """Whether a node stands where a metric gives its value, for which it may be asked before there are data."""
    owner, function = source.enclosing(node, cst.ClassDef), source.enclosing(node, cst.FunctionDef)
    if owner is None or function is None or function.name.value not in _ASKED_FOR_VALUE:
        return False
    names = [owner.name.value, *(name for base in owner.bases for name in names_in(base.value))]
    return any(map(_METRIC_NAME.search, names))


def is_reported(source: Source, node: cst.CSTNode) -> bool:
    """Whether a quotient is bound to the name of a rate, or put into a dict of metrics, and no loss."""
    assign = source.enclosing(node, cst.Assign)
    if assign is None or len(assign.targets) != 1:
        return False
    match assign.targets[0].target:
        case cst.Name(value=name) | cst.Subscript(value=cst.Name(value=name)):
            return _RATE.search(name.lower()) is not None
    return False


def is_printed(source: Source, node: cst.CSTNode) -> bool:
    """Whether a quotient is an argument of `print`, or of what writes files."""
    for above in source.ancestors(node):
        match above:
            case cst.Call(func=cst.Name(value="print" | "write") | cst.Attribute(attr=cst.Name(value="write"))):
                return True
            case cst.BaseExpression() | cst.Arg() | cst.FormattedStringExpression():
                pass
            case _:
                return False
    return False


def is_of_table(source: Source, node: cst.CSTNode) -> bool:
    """Whether a node stands in a function that makes a table of positions, whose entries differ."""
    function = source.enclosing(node, cst.FunctionDef)
    return function is not None and _TABLE.search(function.name.value) is not None


def is_asked(source: Source, site: Site, node: cst.BaseExpression) -> bool:
    """Whether the function asks elsewhere whether its divisor is 0, or mends the quotient afterwards."""
    divisor = unwrapped(node)
    code = function_code(source, node)
    if isinstance(divisor, cst.Name):
        name = re.escape(divisor.value)
        test = rf"(?m)^[^#\n]*\b(if|assert|while|and|or|not|where)\b[^#\n]*\b{name}\b( (==|!=|>|<=) 0\b|:|,)"
        if re.search(test, code):
            return True
    return any(
        re.search(rf"\b{re.escape(target)}\[[^\n]*\](, | = |,$)", code, re.M) for target in _targets(source, site)
    )


def is_nan_handled(source: Source, site: Site) -> bool:
    """Whether the function around a division asks for NaN, and so expects it, and no gradient goes back through it."""
    if site.has_gradient and is_trained_code(source, site.node):
        return False
    return _NAN_HANDLED.search(function_code(source, site.node)) is not None


def function_code(source: Source, node: cst.CSTNode) -> str:
    """The code of the function around a node; nothing outside of functions."""
    function = source.enclosing(node, cst.FunctionDef)
    return source.module.code_for_node(function) if function is not None else ""


def _targets(source: Source, site: Site) -> Iterator[str]:
    """What a quotient is bound to, as code: one of several names of which some elements are mended later included."""
    if isinstance(site.node, cst.AugAssign):
        yield source.module.code_for_node(site.node.target)
    assign = source.enclosing(site.node, cst.Assign)
    for target in assign.targets if assign is not None else ():
        if isinstance(target.target, cst.Tuple):
            yield from (source.module.code_for_node(element.value) for element in target.target.elements)


def _is_code_of(source: Source, node: cst.CSTNode, name: re.Pattern[str]) -> bool:
    """Whether a file, its folders, a class or a function around a node is called like that."""
    path = PurePath(source.path)
    return any(name.search(each) for each in (path.stem, *path.parts[-4:-1], *_holders(source, node)))


def _holders(source: Source, node: cst.CSTNode) -> Iterator[str]:
    for above in source.ancestors(node):
        if isinstance(above, cst.FunctionDef | cst.ClassDef):
            yield above.name.value.strip("_")
