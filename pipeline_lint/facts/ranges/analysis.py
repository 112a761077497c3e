"""The operations of a file with the ranges of their operands: `source.fact(Ranges)`."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.facts.code.frameworks import is_of_another_framework
from pipeline_lint.facts.ranges.interpreter import interpret
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.source import Source


class Ranges:
    """What an abstract run of every function of one file meets."""

    def __init__(self, source: Source) -> None:
        self._by_node = {} if is_of_another_framework(source) else interpret(source).recorder.sites
        self._by_name: dict[str, list[Site]] = {}
        for site in self._by_node.values():
            self._by_name.setdefault(site.name, []).append(site)

    def sites(self, *names: str) -> list[Site]:
        """The operations of these names, or all, in the order in which they were read."""
        if not names:
            return [*self._by_node.values()]
        return [site for name in names for site in self._by_name.get(name, ())]

    def site(self, node: cst.CSTNode) -> Site | None:
        """The operation that a call or operator is; None for what is no operation, or is never reached."""
        return self._by_node.get(id(node))
