"""Whether a gradient may flow back through a piece of code: what the rules about gradients are silent without.

A value that nobody differentiates may be at the edge of an operation's domain without harm: a metric, a plot, a target,
the preparation of data. What becomes of it and the names around it say so where no `no_grad` does.
"""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.code.value_history import names_in
from pipeline_lint.facts.gradient_uses import GradientUses
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.facts.ranges.value import NUMBER
from pipeline_lint.facts.trained_code import is_trained_code
from pipeline_lint.source import Source

_GIVEN = re.compile(
    r"^(gt|gt_\w+|\w+_gt|targets?|labels?|ground_?truths?|y_true|counts?|degs?|degrees?|adj(_\w+)?|laplacian|pitch(_\w+)?|num_\w+|lengths?|grid_?[xyz]|xx|yy"
    r"|edge_(index|weight|attr)s?|lambda_max)$"
    r"|(^|_)(log_?snr|snr|alphas?_?(cum)?prod\w*|alphas?_bars?|betas?_?prod\w*|sigma_?data\w*|noise_level\w*|timesteps?"
    r"|schedulers?)(_|$)",
    re.IGNORECASE,
)
"""Names of what is given and not learned: targets, counts, grids, and what a noise schedule says."""
_RETURN = re.compile(r"^(advs?|advantages?|returns?|rewards?)$")


def may_be_differentiated(source: Source, site: Site) -> bool:
    """Whether a gradient may flow through an operation, as far as its operands and the names around it tell."""
    if not site.has_gradient or not is_trained_code(source, site.node) or _is_of_function(source, site.node):
        return False
    if _is_of_hook(site.function):
        return False
    return not source.fact(GradientUses).are_lost(site.node) and not _is_of_given(source, site)


def _is_of_function(source: Source, node: cst.CSTNode) -> bool:
    """Whether a node stands in a `torch.autograd.Function`, whose gradient is written by hand."""
    owner = source.enclosing(node, cst.ClassDef)
    return owner is not None and any(last_name(base.value) == "Function" for base in owner.bases)


def _is_of_hook(function: cst.FunctionDef | None) -> bool:
    """Whether a function is given gradients to change, as the hooks of a backward pass are."""
    return function is not None and any(
        parameter.name.value in ("grad_input", "grad_output", "grad_inputs", "grad_outputs")
        for parameter in function.params.params
    )


def _is_of_given(source: Source, site: Site) -> bool:
    tensors = [node for name, node in site.operands.items() if site.values[name].kind != NUMBER]
    if any(_RETURN.search(name) for node in tensors for name in names_in(node)):
        # What a policy is judged by is no function of its weights.
        return True
    return bool(tensors) and all(is_given(node) or _is_made_of_given(source, node) for node in tensors)


def _is_made_of_given(source: Source, node: cst.BaseExpression) -> bool:
    """Whether it is a name of what is computed from such: `degree = adjacency.sum(1)`."""
    value = source.fact(Flow).value_of(node) if isinstance(node, cst.Name) else None
    return value is not None and is_given(value)


def is_given(node: cst.BaseExpression) -> bool:
    """Whether an expression is of numbers and of names that say that nothing of it is learned."""
    match node:
        case cst.Name(value=name):
            return _GIVEN.search(name) is not None
        case cst.Attribute(value=value, attr=cst.Name(value=name)):
            return _GIVEN.search(name) is not None or is_given(value)
        case cst.Call(func=cst.Attribute() as function):
            return is_given(function)
        case cst.Call(func=cst.Name(), args=arguments):
            return bool(arguments) and all(is_given(argument.value) for argument in arguments)
        case cst.Subscript(value=value):
            return is_given(value)
        case cst.BinaryOperation(left=left, right=right):
            sides = [each for each in (left, right) if not isinstance(each, cst.BaseNumber)]
            return bool(sides) and all(map(is_given, sides))
        case cst.UnaryOperation(expression=inner):
            return is_given(inner)
    return False
