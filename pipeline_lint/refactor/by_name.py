"""Fixes where values of results with names are taken by their position."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline_lint.diagnostic import Applicability, Fix, Place
from pipeline_lint.refactor.constants import Constants
from pipeline_lint.refactor.consumers import Consumers, constant_index
from pipeline_lint.refactor.keys import Keys, literal_keys
from pipeline_lint.refactor.machine import Machine
from pipeline_lint.refactor.named import NamedUse
from pipeline_lint.refactor.rewriting import CannotRewrite, Rewriting, place_of


@dataclass(frozen=True, slots=True)
class PositionalAccess:
    """A place where values with names are taken by their position."""

    used: NamedUse
    place: Place
    code: str
    """What stands there."""
    fix: Fix | None = None
    refusal: str | None = None
    """Why there is no fix."""


def positional_accesses(machine: Machine, uses: Iterable[NamedUse]) -> Iterator[PositionalAccess]:
    """Those of the uses that go by position."""
    for used in uses:
        if _goes_by_position(used):
            yield _access(machine, used)


def _goes_by_position(used: NamedUse) -> bool:
    node = used.use.node
    if isinstance(node, ast.Starred):
        # `f(*outputs)` of a named tuple passes its values, as it should.
        return not used.first.has_positions
    if not isinstance(node, ast.Subscript):
        return True
    if not isinstance(node.ctx, ast.Load):
        return False
    return isinstance(node.slice, ast.Slice) or constant_index(node.slice, None) is not None


def _access(machine: Machine, used: NamedUse) -> PositionalAccess:
    use, names = used.use, used.first.names
    place, code = place_of(use.code, use.node), " ".join(use.code.source(use.node).split())
    rewriting = Rewriting()
    try:
        _require_same_order(use.node, names)
        constants = Constants(machine, rewriting, "OUTPUT")
        keys = _keys(constants, used)
        Consumers(rewriting, keys, noun="outputs", kind="tuple").rewrite(use)
        for each, indices in keys.written.items():
            constants.bring(each, indices)
        edits = rewriting.edits()
    except CannotRewrite as reason:
        return PositionalAccess(used, place, code, refusal=str(reason))
    fix = Fix(Applicability.SAFE, f"Take {_listed(names, keys.written[use.code])} by name", edits)
    return PositionalAccess(used, place, code, fix)


def _listed(names: tuple[str, ...], indices: Iterable[int]) -> str:
    return ", ".join(f"`{names[index]}`" for index in sorted(indices)) or "the values"


def _require_same_order(node: ast.AST, names: tuple[str, ...]) -> None:
    """Raises `CannotRewrite` where an unpacking gives a value the name of another one."""
    if not isinstance(node, ast.Tuple | ast.List):
        return
    for index, target in enumerate(node.elts):
        if isinstance(target, ast.Starred):
            return
        if isinstance(target, ast.Name) and target.id in names and names.index(target.id) != index:
            raise CannotRewrite(f"`{target.id}` is unpacked as value {index + 1}, and stands as another in the result")


def _keys(constants: Constants, used: NamedUse) -> Keys:
    """As the model writes them: attributes, constants that exist, or literals."""
    names = used.first.names
    if used.first.has_attributes:
        return Keys(names, lambda _, index: names[index], is_attribute=True)
    maker = used.first.model.code
    is_literal = all(isinstance(key, ast.Constant | None) for result in used.results for key in result.keys)
    if is_literal or any(constants.existing(maker, name) is None for name in names):
        return literal_keys(names)
    written = constants.declare(names, maker, [used.use.code])
    return Keys(names, lambda code, index: written[code][index])
