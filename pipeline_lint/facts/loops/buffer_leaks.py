"""Buffers that a module's `forward` mixes with what it computes, so that they keep the graphs of all steps."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.loops.gradient_mode import GradientMode
from pipeline_lint.facts.loops.leak import Leak
from pipeline_lint.facts.loops.roles import Roles, path_of, paths_in
from pipeline_lint.facts.modules import Modules
from pipeline_lint.source import Source

_SHAPES = frozenset({"detach", "item", "size", "numel", "dim", "tolist", "new_zeros", "new_ones"})
_CUT = re.compile(r"detach|\.data\b|item\(|\.size|shape|numel|len\(|arg(max|min|sort)|one_hot")
_LAYER = re.compile(r"\bself\.\w+(\.\w+)?\(")
_MOST_NAMES = 4


def buffer_leaks(source: Source) -> Iterator[Leak]:
    """The buffers that `forward` makes anew of themselves, or writes what it computes into."""
    if "register_buffer" not in source.text:
        return
    for view in source.fact(Modules).classes:
        forward = view.methods.get("forward")
        buffers = _buffers(view.node)
        if forward is not None and buffers:
            yield from _Reader(source, forward, buffers).leaks()


class _Reader:
    def __init__(self, source: Source, forward: cst.FunctionDef, buffers: frozenset[str]) -> None:
        self._source = source
        self._mode = source.fact(GradientMode)
        self._forward = forward
        self._buffers = buffers

    def leaks(self) -> Iterator[Leak]:
        for assign in _statements(self._forward, cst.Assign):
            assert isinstance(assign, cst.Assign)
            yield from self._assigned(assign)
        for call in _statements(self._forward, cst.Call):
            match call:
                case cst.Call(
                    func=cst.Attribute(value=holder, attr=cst.Name(value="copy_" | "add_" | "lerp_")),
                    args=[cst.Arg(value=value), *_],
                ):
                    yield from self._written(call, holder, value)

    def _assigned(self, assign: cst.Assign) -> Iterator[Leak]:
        """`self.mean = 0.9 * self.mean + 0.1 * x.mean()` and `self.queue[index] = x`."""
        target = assign.targets[0].target
        if len(assign.targets) > 1:
            return
        if isinstance(target, cst.Subscript):
            yield from self._written(assign, target, assign.value)
            return
        path = self._buffer(target)
        if path and not self._mode.is_off(assign) and path in paths_in(self._source, assign.value):
            parts = self._fresh_parts(assign.value)
            if parts:
                yield Leak(assign, path, parts, Confidence.LIKELY, "mixed into")

    def _written(self, node: cst.CSTNode, holder: cst.BaseExpression, value: cst.BaseExpression) -> Iterator[Leak]:
        """What is written into a buffer's memory, a part of it or behind other in-place methods."""
        is_part = False
        while True:
            match holder:
                case cst.Call(func=cst.Attribute(value=inner)) | cst.Subscript(value=inner):
                    is_part |= isinstance(holder, cst.Subscript)
                    holder = inner
                case _:
                    break
        path = self._buffer(holder)
        if path and not self._mode.is_off(node):
            parts = self._fresh_parts(value)
            if is_part:
                # Tables are filled with statistics of the data as well, which have no graph.
                parts = tuple(each for each in parts if self._is_of_layer(each))
            if parts:
                yield Leak(node, path, parts, Confidence.LIKELY, "copied into")

    def _is_of_layer(self, name: cst.Name) -> bool:
        """Whether a layer of the module gives a variable its value."""
        values = self._source.fact(Roles).values(name.value, name)
        return any(value is not None and _LAYER.search(self._source.code(value)) is not None for value in values)

    def _buffer(self, node: cst.BaseExpression) -> str:
        path = path_of(self._source, node)
        return path if path.startswith("self.") and path.removeprefix("self.") in self._buffers else ""

    def _fresh_parts(self, value: cst.BaseExpression) -> tuple[cst.Name, ...]:
        """The variables of an expression that are computed from what `forward` is given."""
        given = {each.name.value for each in self._forward.params.params} - {"self"}
        return tuple(name for name in _plain_names(value) if self._is_computed_from(name, given))

    def _is_computed_from(self, name: cst.Name, given: set[str], depth: int = 0) -> bool:
        value = self._source.fact(Flow).value_of(name)
        if value is None:
            # The in-place operation that reads it keeps `Flow` from an answer.
            values = self._source.fact(Roles).values(name.value, name)
            value = values[0] if len(values) == 1 else None
        if value is None or self._mode.is_off(value) or _CUT.search(self._source.code(value)):
            return False
        return any(
            each.value in given or (depth < _MOST_NAMES and self._is_computed_from(each, given, depth + 1))
            for each in _plain_names(value)
        )


def _buffers(node: cst.ClassDef) -> frozenset[str]:
    """The buffers that a class registers."""
    found = set()
    for call in _statements(node, cst.Call):
        match call:
            case cst.Call(
                func=cst.Attribute(attr=cst.Name(value="register_buffer")),
                args=[cst.Arg(value=cst.SimpleString() as text), *_],
            ):
                found.add(str(text.evaluated_value))
    return frozenset(found)


def _statements(root: cst.CSTNode, kind: type[cst.CSTNode]) -> Iterator[cst.CSTNode]:
    for child in root.children:
        if isinstance(child, kind):
            yield child
        yield from _statements(child, kind)


def _plain_names(node: cst.CSTNode) -> list[cst.Name]:
    """The variables that an expression computes with, those that it detaches or only asks for their shape left out."""
    match node:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value=name))) if name in _SHAPES:
            return []
        case cst.Attribute(attr=cst.Name(value="data" | "shape" | "dtype" | "device" | "ndim")):
            return []
        case cst.Attribute(value=value):
            return _plain_names(value)
        case cst.Name():
            return [node]
        case cst.Arg(value=value):
            return _plain_names(value)
        case cst.Subscript(value=value):
            return _plain_names(value)
    return [name for child in node.children for name in _plain_names(child)]
