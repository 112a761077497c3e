"""Divisors that numpy or pandas computes from what they divide: `x / np.abs(x).max()`, as data are prepared."""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.ranges.syntax import last_name, path_of
from pipeline_lint.facts.ranges.value import Evidence
from pipeline_lint.source import Source

_ZERO_FOR_ZEROS = frozenset({"max", "amax", "linalg.norm", "nanmax"})
_ZERO_FOR_EQUAL = frozenset({"std", "var", "nanstd", "nanvar", "ptp"})
_COLUMN = re.compile(r"^(df|\w+_df|series|dataframe)(\.|$)")
_OF_TABLES = frozenset({"apply", "agg", "aggregate", "applymap", "transform"})
_PASSED = frozenset({"sqrt", "abs", "square", "absolute", "fabs", "expand_dims"})


def why_array_zero(source: Source, node: cst.BaseExpression, numerator: cst.BaseExpression) -> Evidence | None:
    """Why a divisor of numpy's is 0 where the numerator is; None where it is of something else, or bounded."""
    names = source.fact(Names)
    inner = node
    while isinstance(inner, cst.Call):
        path = names.resolve(inner.func)
        name = path.removeprefix("numpy.") if path is not None and path.startswith("numpy.") else None
        if name is None or not inner.args:
            return None
        operand = inner.args[0].value
        is_of_squares = (
            name == "mean" and isinstance(operand, cst.BinaryOperation) and isinstance(operand.operator, cst.Power)
        )
        if name in _ZERO_FOR_ZEROS or name in _ZERO_FOR_EQUAL or is_of_squares:
            if _read(numerator).isdisjoint(_read(operand)):
                return None
            reason = "equal values" if name in _ZERO_FOR_EQUAL else "elements that are all 0"
            return Evidence(Confidence.LIKELY, reason)
        if name not in _PASSED:
            return None
        inner = operand
    return None


def is_column(source: Source, node: cst.CSTNode) -> bool:
    """Whether a quotient is of columns of a table, as pandas hands them to a function: `df.apply(lambda x: ...)`."""
    names = _read(node)
    if any(_COLUMN.search(name) for name in names):
        return True
    function = source.enclosing(node, cst.Lambda)
    argument = source.parent(function) if function is not None else None
    call = source.parent(argument) if isinstance(argument, cst.Arg) else None
    return isinstance(call, cst.Call) and last_name(call.func) in _OF_TABLES


def _read(node: cst.CSTNode) -> set[str]:
    """The variables and attributes that an expression reads, without functions."""
    found: set[str] = set()
    waiting: list[cst.CSTNode] = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, cst.Call):
            if isinstance(current.func, cst.Attribute):
                waiting.append(current.func.value)
            waiting.extend(argument.value for argument in current.args)
            continue
        path = path_of(current) if isinstance(current, cst.Name | cst.Attribute) else None
        if path is not None:
            found.add(path)
        else:
            waiting.extend(current.children)
    return found - {"np", "numpy", "None", "self"}
