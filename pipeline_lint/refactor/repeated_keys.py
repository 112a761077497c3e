"""Keys of outputs that are written out where they are made and where they are read, and constants in their place."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline_lint.diagnostic import Applicability, Fix, Place
from pipeline_lint.refactor.constants import Constants
from pipeline_lint.refactor.machine import Machine
from pipeline_lint.refactor.named import NamedResult, NamedUse
from pipeline_lint.refactor.program import ModuleCode
from pipeline_lint.refactor.rewriting import CannotRewrite, Rewriting, place_of

Literal = tuple[ModuleCode, ast.Constant]


@dataclass(frozen=True, slots=True)
class RepeatedKeys:
    """The keys of one dict that its readers write out again."""

    model: str
    names: tuple[str, ...]
    places: tuple[Place, ...]
    """Where they are written, first where they are made."""
    num_readings: int
    fix: Fix | None = None
    refusal: str | None = None


def repeated_keys(
    machine: Machine, results: Iterable[NamedResult], uses: Sequence[NamedUse], given: frozenset[str]
) -> Iterator[RepeatedKeys]:
    """One for each dict whose keys stand in it and at its readers; `given` are the files that may change."""
    readings: dict[int, list[tuple[str, Literal]]] = defaultdict(list)
    for used in uses:
        node = used.use.node
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            text = node.slice.value
            if isinstance(text, str) and text in used.first.names:
                for result in used.results:
                    readings[id(result.token)].append((text, (used.use.code, node.slice)))
    seen: set[int] = set()
    for result in results:
        if id(result.token) not in seen and result.kind == "dict" and readings[id(result.token)]:
            seen.add(id(result.token))
            found = _repeated(machine, result, readings[id(result.token)], given)
            if found is not None:
                yield found


def _repeated(
    machine: Machine, result: NamedResult, readings: Sequence[tuple[str, Literal]], given: frozenset[str]
) -> RepeatedKeys | None:
    maker = result.model.code
    written: dict[str, list[Literal]] = defaultdict(list)
    for name, key in zip(result.names, result.keys, strict=True):
        if isinstance(key, ast.Constant):
            written[name].append((maker, key))
    read = [name for name, _ in readings]
    written = defaultdict(list, {name: literals for name, literals in written.items() if name in read})
    if not written:
        return None
    for name, literal in readings:
        if name in written:
            written[name].append(literal)
    names = tuple(written)
    makers = [literals[0] for literals in written.values()]
    readers = [literal for literals in written.values() for literal in literals[1:]]
    places = tuple(place_of(*literal) for literal in (*makers, *readers))
    try:
        fix = _fix(machine, maker, written, given)
    except CannotRewrite as reason:
        return RepeatedKeys(result.model.name, names, places, len(readers), refusal=str(reason))
    return RepeatedKeys(result.model.name, names, places, len(readers), fix)


def _fix(machine: Machine, maker: ModuleCode, written: dict[str, list[Literal]], given: frozenset[str]) -> Fix:
    names = tuple(written)
    rewriting = Rewriting()
    constants = Constants(machine, rewriting, "OUTPUT")
    users = [code for literals in written.values() for code, _ in literals]
    spelled = constants.declare(names, maker, users)
    used: dict[ModuleCode, set[int]] = defaultdict(set)
    for index, name in enumerate(names):
        for code, literal in written[name]:
            rewriting.replace_node(code, literal, spelled[code][index])
            used[code].add(index)
    for code, indices in used.items():
        constants.bring(code, indices)
    edits = rewriting.edits()
    outside = sorted({edit.path for edit in edits} - given)
    if outside:
        raise CannotRewrite(f"it would also change {outside[0]}: run `pipeline-lint fix` on the whole project")
    listed = ", ".join(f"`{name}`" for name in names)
    return Fix(Applicability.SAFE, f"Write a constant in place of {listed}", edits)
