"""Distributions of `torch.distributions` and `pyro.distributions`: made, sampled, and asked for probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from pipeline_lint.facts.operations.distributions import DISTRIBUTIONS, METHODS, Family, attribute
from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.value import OTHER, UNKNOWN, Made, Value

if TYPE_CHECKING:
    from pipeline_lint.facts.ranges.run import Run

_MODULES = ("torch.distributions.", "pyro.distributions.")
_WRAPPERS = frozenset({"Independent", "ExpandedDistribution"})


def construct(run: Run, node: cst.Call, path: str, state: State) -> Value | None:
    """What a constructor of a distribution gives; None where the path is of something else."""
    if not path.startswith(_MODULES):
        return None
    name = path.rpartition(".")[2]
    family = DISTRIBUTIONS.get(name)
    if family is None:
        if name in _WRAPPERS and node.args:
            wrapped, *_ = [run.evaluate(argument.value, state) for argument in node.args]
            return wrapped if _family_of(wrapped) is not None else None
        return None
    given: dict[str, Value] = {}
    for position, argument in enumerate(node.args):
        value = run.evaluate(argument.value, state)
        if argument.keyword is not None:
            given[argument.keyword.value] = value
        elif not argument.star and position < len(family.parameters):
            given[family.parameters[position]] = value
    inputs = tuple(given.get(parameter, UNKNOWN) for parameter in family.parameters)
    return Value(
        kind=OTHER,
        has_gradient=any(each.has_gradient for each in given.values()),
        made=Made(_operation(name), node, inputs),
    )


def call_method(run: Run, node: cst.Call, state: State) -> Value | None:
    """`d.rsample()`, `d.log_prob(x)`; None where `d` is no distribution."""
    function = node.func
    if not isinstance(function, cst.Attribute) or function.attr.value not in METHODS:
        return None
    owner = run.evaluate(function.value, state)
    family = _family_of(owner)
    if family is None:
        return None
    arguments = [run.evaluate(argument.value, state) for argument in node.args]
    name = function.attr.value
    result = METHODS[name](family, owner, Made(f"distribution.{name}", node, (owner, *arguments)))
    if not state.has_gradient:
        result.has_gradient = False
    return result


def attribute_of(owner: Value, name: str, node: cst.Attribute) -> Value | None:
    """`d.probs`, `d.mean`; None where `d` is no distribution."""
    family = _family_of(owner)
    return attribute(family, owner, name, Made(f"distribution.{name}", node, (owner,))) if family is not None else None


def _operation(name: str) -> str:
    return f"torch.distributions.{name}"


def _family_of(owner: Value) -> Family | None:
    if owner.kind != OTHER or owner.made is None:
        return None
    module, _, name = owner.made.operation.rpartition(".")
    return DISTRIBUTIONS.get(name) if module == "torch.distributions" else None
