"""Functions that seed the workers of a loader with the same numbers: for all workers, or in every epoch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.loops.roles import Roles
from pipeline_lint.source import Source

SEEDS = frozenset({"numpy.random.seed", "random.seed", "torch.manual_seed", "torch.random.manual_seed"})
_VARYING = re.compile(r"epoch|step|iter|time|round|clock|entropy", re.IGNORECASE)
_PLAIN_CALLS = frozenset({"abs", "hash", "int", "str"})


@dataclass(frozen=True, slots=True, eq=False)
class RepeatedSeed:
    """What a `worker_init_fn` seeds the workers' random numbers with."""

    calls: tuple[cst.Call, ...]
    """The calls that seed."""
    is_of_worker: bool
    """Whether the worker's number is part of it; else all workers draw the same."""


def repeated_seeds(source: Source) -> Iterator[RepeatedSeed]:
    """The functions given as `worker_init_fn` whose seeds are the same in every epoch."""
    seen: set[int] = set()
    for argument in source.nodes(cst.Arg):
        if argument.keyword is None or argument.keyword.value != "worker_init_fn":
            continue
        call = source.parent(argument)
        restarts = isinstance(call, cst.Call) and _restarts(call)
        for function in _functions(source, argument.value):
            if id(function) not in seen:
                seen.add(id(function))
                found = _read(source, function)
                if found is not None and (restarts or not found.is_of_worker):
                    yield found


def _functions(source: Source, node: cst.BaseExpression) -> Iterator[cst.FunctionDef | cst.Lambda]:
    """The functions of the file that an expression may be, through one variable."""
    roles = source.fact(Roles)
    values = [node, *(roles.values(node.value, node) if isinstance(node, cst.Name) else ())]
    for value in values:
        if isinstance(value, cst.Lambda):
            yield value
        elif isinstance(value, cst.Name):
            yield from (each for each in source.nodes(cst.FunctionDef) if each.name.value == value.value)


def _restarts(loader: cst.Call) -> bool:
    """Whether it is a loader that starts its workers anew for each epoch, as far as its arguments say."""
    settings = {each.keyword.value: each.value for each in loader.args if each.keyword is not None}
    persists = settings.get("persistent_workers")
    is_off = persists is None or (isinstance(persists, cst.Name) and persists.value == "False")
    return called_name(loader).endswith("Loader") and is_off and not any(each.star for each in loader.args)


def _read(source: Source, function: cst.FunctionDef | cst.Lambda) -> RepeatedSeed | None:
    names = source.fact(Names)
    calls = [
        call
        for call in source.nodes(cst.Call)
        if names.resolve(call.func) in SEEDS and call.args and source.function_of(call) is function
    ]
    if not calls:
        return None
    seeds = [set(_read_names(source, call.args[0].value, function)) for call in calls]
    if any(_VARYING.search(name) or name == "()" for each in seeds for name in each):
        return None
    parameters = [each.name.value for each in (*function.params.posonly_params, *function.params.params)]
    worker = parameters[1] if parameters[:1] == ["self"] and len(parameters) > 1 else (parameters or [""])[0]
    return RepeatedSeed(tuple(calls), any(worker in each for each in seeds))


def _read_names(
    source: Source, node: cst.CSTNode, function: cst.FunctionDef | cst.Lambda, depth: int = 0
) -> Iterator[str]:
    """The names that a seed is made of, through variables of the function; `()` for a call that may give anything."""
    match node:
        case cst.Call(func=cst.Name(value=name)) if name in _PLAIN_CALLS:
            for argument in node.args:
                yield from _read_names(source, argument.value, function, depth)
        case cst.Call():
            yield "()"
        case cst.Name(value=name):
            yield name
            for target in source.nodes(cst.AssignTarget) if depth < 4 else ():
                assign = source.parent(target)
                is_it = isinstance(target.target, cst.Name) and target.target.value == name
                if is_it and isinstance(assign, cst.Assign) and source.function_of(target) is function:
                    yield from _read_names(source, assign.value, function, depth + 1)
        case cst.Attribute(value=value, attr=cst.Name(value=name)):
            yield name
            yield from _read_names(source, value, function, depth)
        case _:
            for child in node.children:
                yield from _read_names(source, child, function, depth)
