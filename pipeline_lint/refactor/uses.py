"""What the code does with containers whose values have no names yet: the consumers of outputs."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_lint.refactor.tokens import EMPTY, UNKNOWN, Value, has_names, has_outputs

if TYPE_CHECKING:
    from pipeline_lint.refactor.program import ClassInfo, ModuleCode


_BY_POSITION = frozenset({"unpack", "subscript", "star"})


@dataclass(eq=False, slots=True)
class Use:
    """One thing that is done with a value at one place."""

    kind: str
    """`unpack` (node: the targets), `subscript`, `star`, `iterate` (node: the expression), `isinstance` (node: the
    call), `escape` (node: the expression that is handed to unknown code), `outside` (handed to a library), `return`
    (node: the function), `attribute`, `save`, or `script`."""
    code: ModuleCode
    node: ast.AST
    value: Value = EMPTY
    detail: str = ""
    """Who gets the value, for messages."""


@dataclass(eq=False, slots=True)
class InstanceEscape:
    """A model or dataset that code outside the project may call."""

    info: ClassInfo
    code: ModuleCode
    node: ast.AST
    receiver: str


@dataclass(slots=True)
class Uses:
    """Everything noted while the project was evaluated."""

    uses: dict[tuple[ast.AST, str], Use] = field(default_factory=dict)
    named: dict[tuple[ast.AST, str], Use] = field(default_factory=dict)
    """Unpackings, subscripts and expansions of what has names already."""
    unknown_unpacks: dict[ast.AST, Use] = field(default_factory=dict)
    """Unpackings and constant subscripts of results of what nobody knows, which may be ours."""
    escapes: dict[tuple[ClassInfo, ast.AST], InstanceEscape] = field(default_factory=dict)
    constructed: set[ClassInfo] = field(default_factory=set)
    wrapped: dict[ClassInfo, set[str]] = field(default_factory=dict)
    """Paths of what classes are wrapped in: `torch.nn.DataParallel`."""

    def note(self, kind: str, code: ModuleCode, node: ast.AST, value: Value, detail: str = "") -> None:
        """Notes a use of a value, if that may be a container of named outputs to be, or has names."""
        if kind in _BY_POSITION:
            named = self.named.get((node, kind))
            if named is not None:
                named.value |= value
            elif any(map(has_names, value)):
                self.named[node, kind] = Use(kind, code, node, value)
        if not has_outputs(value):
            if UNKNOWN in value and kind in ("unpack", "subscript"):
                self.unknown_unpacks.setdefault(node, Use(kind, code, node, value))
            known = self.uses.get((node, kind))
            if known is not None:
                known.value |= value
            return
        use = self.uses.get((node, kind))
        if use is None:
            use = self.uses[node, kind] = Use(kind, code, node, detail=detail)
        use.value |= value

    def escape(self, info: ClassInfo, code: ModuleCode, node: ast.AST, receiver: str) -> None:
        self.escapes.setdefault((info, node), InstanceEscape(info, code, node, receiver))
