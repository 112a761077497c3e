"""What a function gives back, path by path: tuples and their values' names, dicts and their keys, nothing at all."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Place
from pipeline_lint.facts.code.branches import Guard, always_leaves, guards_of
from pipeline_lint.facts.code.names import dotted_name
from pipeline_lint.facts.outputs.shapes import Shape, Shapes
from pipeline_lint.facts.outputs.value_names import value_name
from pipeline_lint.source import Source

_LONGEST_CODE = 40


@dataclass(frozen=True, slots=True)
class Output:
    """What one `return` or `yield` gives; a conditional expression gives one for each of its branches."""

    shape: Shape
    guards: tuple[Guard, ...] = ()
    """The conditions around it, outermost first."""
    names: tuple[str | None, ...] = ()
    """For the values of a tuple or list: what each is called in the code."""
    codes: tuple[str, ...] = ()
    """The values as they are written, for messages."""
    maker: str = ""
    """The class whose call it is, by its last name: `VAEOutput`."""
    place: Place | None = None
    """Only where a rule may have to show it."""

    @property
    def is_positional(self) -> bool:
        """Whether it is a tuple or list of two or more values, told apart by position alone."""
        return self.shape.kind in ("tuple", "list") and self.shape.num_values >= 2


@dataclass(frozen=True, slots=True)
class MethodOutputs:
    """What a method gives back on its paths, in the order of the text."""

    outputs: tuple[Output, ...]
    is_generator: bool = False
    is_static: bool = False
    is_optional: bool = False
    """Whether the annotation says that the result may be None."""
    end: Place | None = None
    """The method's name, where it gives something on one path and on another reaches its end without a return."""


class Outputs:
    """What the functions of one file give back; ask for it by `source.fact(Outputs)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._shapes = source.fact(Shapes)
        self._returns = _by_function(source, source.nodes(cst.Return))
        self._yields = _by_function(source, source.nodes(cst.Yield))

    def of(self, function: cst.FunctionDef) -> MethodOutputs:
        """What a function gives back; nested functions and lambdas are not its own.

        Of `__getitems__` and of generators it is what each sample is.
        """
        yields = self._yields.get(id(function), [])
        numbers: dict[int, int] = {}
        found = [
            given
            for statement in (yields or self._returns.get(id(function), []))
            for given in self._given(function, statement, numbers)
        ]
        gives_something = any(output.shape.kind != "none" for _, output in found)
        is_open = gives_something and not yields and not always_leaves(function.body)
        decorators = {dotted_name(each.decorator) for each in function.decorators}
        num_shapes = len({(output.shape.kind, output.shape.num_values, output.shape.keys) for _, output in found})
        place = self._source.place
        return MethodOutputs(
            tuple(
                dataclasses.replace(output, place=place(node))
                if num_shapes > 1 or is_open or output.is_positional
                else output
                for node, output in found
            ),
            is_generator=bool(yields),
            is_static=not decorators.isdisjoint({"staticmethod", "classmethod"}),
            is_optional=_is_optional(self._source, function.returns),
            end=place(function.name) if is_open else None,
        )

    def _given(
        self, function: cst.FunctionDef, statement: cst.Return | cst.Yield, numbers: dict[int, int]
    ) -> Iterator[tuple[cst.CSTNode, Output]]:
        value = statement.value
        if isinstance(value, cst.From):
            return
        if value is None:
            yield statement, Output(Shape("none"), guards_of(self._source, statement, function, numbers))
            return
        for node in _branches(value):
            guards = guards_of(self._source, node, function, numbers)
            nodes = self._shapes.samples(node, function) if function.name.value == "__getitems__" else [node]
            for each in nodes:
                shape, values = self._shapes.of(each, function)
                names = tuple(value_name(self._source, value) for value in values)
                codes = tuple(_written(self._source, value) for value in values)
                maker = self._shapes.maker(each, function) if shape.kind == "unknown" else ""
                yield each, Output(shape, guards, names, codes, maker)


def _branches(value: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    """The expressions of which a conditional expression gives one."""
    if isinstance(value, cst.IfExp):
        yield from _branches(value.body)
        yield from _branches(value.orelse)
    else:
        yield value


def _written(source: Source, node: cst.BaseExpression) -> str:
    code = " ".join(source.module.code_for_node(node).split())
    return code if len(code) <= _LONGEST_CODE else code[: _LONGEST_CODE - 3] + "..."


def _is_optional(source: Source, annotation: cst.Annotation | None) -> bool:
    if annotation is None:
        return False
    code = source.module.code_for_node(annotation.annotation)
    return "Optional" in code or "None" in code


def _by_function(
    source: Source, nodes: Sequence[cst.Return] | Sequence[cst.Yield]
) -> Mapping[int, list[cst.Return | cst.Yield]]:
    found: dict[int, list[cst.Return | cst.Yield]] = defaultdict(list)
    for node in nodes:
        found[id(source.function_of(node))].append(node)
    return found
