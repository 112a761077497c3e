"""What keeps a divisor from 0 without bounding it: tests that the interpreter does not follow, and fixed schedules."""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.facts.code.guards import conditions
from pipeline_lint.facts.code.unwrapping import unwrapped
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.syntax import last_name, path_of
from pipeline_lint.source import Source

_PROVING = re.compile(r"[<>]|[!=]=|\b(any|all|isclose|allclose|count_nonzero|isfinite|isnan|numel|len)\(")
_SCHEDULE = re.compile(r"(^|_)(alphas?|betas?|snr|sigmas|cumprod|alpha_bars?|alphas_hat|sigma_data)(_|$)")
_SETUP = frozenset({"__init__", "__post_init__", "reset_parameters", "register_buffer", "set_timesteps"})
_PATH_NAME = re.compile(r"(^|_)(path|paths|dir|directory|folder|root|home|cwd)$|^Path$", re.IGNORECASE)
_ABOUT_FORM = frozenset(
    """dim size ndimension numel nelement element_size is_floating_point isinstance hasattr getattr type len
    is_complex get_device""".split()
)
"""Questions whose answer says nothing of the values."""
_DROPPED = re.compile(r"drop|keep_prob|keep_rate|surviv", re.IGNORECASE)


def has_guard(source: Source, at: cst.CSTNode, operand: cst.BaseExpression, *, of_size: bool = False) -> bool:
    """Whether a test before, or around, an operation asks something of the values that its operand is computed from.

    `of_size`: or how many they are.
    """
    if _is_in_loop_over(source, at, operand):
        return True
    paths = _paths(operand)
    if not paths:
        return False
    for test in conditions(source, at):
        code = source.module.code_for_node(test)
        if _PROVING.search(code) and paths & _paths(test, of_size=of_size):
            return True
    return False


def _is_in_loop_over(source: Source, at: cst.CSTNode, operand: cst.BaseExpression) -> bool:
    """Whether a length is asked for in a loop over what it is of, which does not run for nothing."""
    match unwrapped(operand):
        case cst.Call(func=cst.Name(value="len"), args=[cst.Arg(value=collection)]):
            loops = (above for above in source.ancestors(at) if isinstance(above, cst.For))
            return any(loop.iter.deep_equals(collection) for loop in loops)
    return False


def is_constant_setup(source: Source, at: cst.CSTNode, divisor: cst.BaseExpression) -> bool:
    """Whether a division computes constants once: schedules of a diffusion, buffers, the rate of a dropout."""
    names = {path.rpartition(".")[2] for path in _paths(divisor)}
    if any(_SCHEDULE.search(name) or _DROPPED.search(name) for name in names):
        return True
    for above in source.ancestors(at):
        if isinstance(above, cst.Call) and last_name(above.func) == "register_buffer":
            return True
        if isinstance(above, cst.FunctionDef):
            name = above.name.value
            if name in _SETUP or _DROPPED.search(name):
                return True
        elif isinstance(above, cst.ClassDef) and "Scheduler" in above.name.value:
            return True
    return False


def is_path(source: Source, site: Site) -> bool:
    """Whether a quotient joins paths of files: `root / name`."""
    node = site.node
    if not isinstance(node, cst.BinaryOperation):
        return False
    parts: list[cst.BaseExpression] = [node.right]
    left: cst.BaseExpression = node
    while isinstance(left, cst.BinaryOperation) and isinstance(left.operator, cst.Divide):
        parts.append(left.right)
        left = left.left
    above = source.parent(node)
    while isinstance(above, cst.BinaryOperation) and isinstance(above.operator, cst.Divide):
        parts.append(above.right)
        above = source.parent(above)
    if any(isinstance(part, cst.BaseString) for part in parts):
        return True
    name = last_name(left.func if isinstance(left, cst.Call) else left)
    return _PATH_NAME.search(name) is not None


def _paths(node: cst.CSTNode, *, of_size: bool = False) -> set[str]:
    """Variables and attributes that an expression reads, without the methods that are called on them."""
    found: set[str] = set()
    waiting: list[cst.CSTNode] = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, cst.Call):
            if last_name(current.func) in _ABOUT_FORM and not of_size:
                continue
            if isinstance(current.func, cst.Attribute):
                waiting.append(current.func.value)
            waiting.extend(argument.value for argument in current.args)
            continue
        if isinstance(current, cst.Attribute | cst.Name):
            path = path_of(unwrapped(current))
            if path is not None:
                path = path.removesuffix(".shape") if of_size else path
                if path not in ("self", "torch", "None", "F", "np", "math"):
                    found.add(path)
                continue
        waiting.extend(current.children)
    return found
