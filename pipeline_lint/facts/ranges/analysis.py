"""The operations of a file with the ranges of their operands: `source.fact(Ranges)`."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.facts.ranges.interpreter import Interpreter
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.source import Source


class Ranges:
    """What an abstract run of every function of one file meets.

    A function that the interpreter cannot follow to its end has no sites, and fails nobody.
    """

    def __init__(self, source: Source) -> None:
        self._sites: dict[str, list[Site]] = {}
        interpreter = Interpreter(source)
        interpreter.read_module()
        for function in source.nodes(cst.FunctionDef):
            if not _is_nested(source, function):
                interpreter.read_function(function)
        self._by_node = interpreter.recorder.sites
        for site in interpreter.recorder.sites.values():
            self._sites.setdefault(site.name, []).append(site)

    def sites(self, *names: str) -> list[Site]:
        """The operations of these names, in no particular order."""
        return [site for name in names for site in self._sites.get(name, ())]

    def site(self, node: cst.CSTNode) -> Site | None:
        """The operation that a call or operator is."""
        return self._by_node.get(id(node))


def _is_nested(source: Source, function: cst.FunctionDef) -> bool:
    return source.function_of(function) is not None
