"""Which attributes are parameters of their module, which training moves little from where they start."""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.facts.code.events import called_name
from pipeline_lint.source import Source

_SCORES_NAME = re.compile(r"logits?|scores?", re.IGNORECASE)


class LearnedAttributes:
    """The parameters that the classes of one file have: `source.fact(LearnedAttributes)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._values: dict[tuple[int, str], list[cst.BaseExpression]] = {}
        for assign in source.nodes(cst.Assign):
            for target in assign.targets:
                match target.target:
                    case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)):
                        owner = source.enclosing(assign, cst.ClassDef)
                        self._values.setdefault((id(owner), name), []).append(assign.value)

    def is_learned(self, node: cst.CSTNode, name: str) -> bool:
        """Whether `self.name` at a node is an `nn.Parameter`, or inherited: what a class computes, it assigns itself.

        The logits and scores of a distribution are inherited as well, and are anything.
        """
        owner = self._source.enclosing(node, cst.ClassDef)
        if owner is None:
            return False
        values = self._values.get((id(owner), name))
        if values is None:
            return bool(owner.bases) and not _SCORES_NAME.search(name)
        return any(isinstance(value, cst.Call) and called_name(value) == "Parameter" for value in values)
