"""What the names of each function are given and changed by, for those that are bound more than once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import libcst as cst

from pipeline_lint.source import Source


class Rebindings:
    """The values that variables of one file get: `source.fact(Rebindings)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._given: dict[tuple[int, str], list[cst.BaseExpression]] = defaultdict(list)
        self._changes: dict[tuple[int, str], list[cst.AugAssign]] = defaultdict(list)
        for assign in source.nodes(cst.Assign):
            function = id(source.function_of(assign))
            for name in (name for target in assign.targets for name in _names(target.target)):
                self._given[function, name].append(assign.value)
        for change in source.nodes(cst.AugAssign):
            if isinstance(change.target, cst.Name):
                self._changes[id(source.function_of(change)), change.target.value].append(change)

    def given(self, name: str, *, at: cst.CSTNode) -> Sequence[cst.BaseExpression]:
        """What the function around a node assigns to a name, alone or as a part of what is unpacked."""
        return self._given.get((id(self._source.function_of(at)), name), ())

    def changes(self, name: str, *, at: cst.CSTNode) -> Sequence[cst.AugAssign]:
        """What the function around a node adds to a name, or takes off it: `x -= x.max()`."""
        return self._changes.get((id(self._source.function_of(at)), name), ())

    def default(self, name: str, *, at: cst.CSTNode) -> cst.BaseExpression | None:
        """What a parameter of the function around a node is where it is not given."""
        function = self._source.function_of(at)
        if not isinstance(function, cst.FunctionDef):
            return None
        parameters = (*function.params.params, *function.params.kwonly_params)
        return next((each.default for each in parameters if each.name.value == name), None)


def _names(target: cst.BaseExpression) -> Iterator[str]:
    if isinstance(target, cst.Name):
        yield target.value
    elements: Sequence[cst.BaseElement] = target.elements if isinstance(target, cst.Tuple | cst.List) else ()
    for element in elements:
        yield from _names(element.value)
