"""What a value can be, as far as the refactoring follows values: classes, instances, functions, containers.

A value is a frozen set of tokens: everything that it can be in some run. Tokens are compared by identity, and there is
one for each class, function, or place in the code that makes a container.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_lint.refactor.program import ClassInfo, FunctionInfo, ModuleCode


@dataclass(frozen=True, eq=False, slots=True)
class Token:
    """One thing that a value can be."""


@dataclass(frozen=True, eq=False, slots=True)
class Marker(Token):
    """A token that says how little is known."""

    name: str

    def __repr__(self) -> str:
        return self.name


UNKNOWN = Marker("UNKNOWN")
"""May be anything, also one of ours."""
OPAQUE = Marker("OPAQUE")
"""Made by code outside the project from nothing of ours: a tensor, most of the time."""
NOTHING = Marker("NOTHING")
"""None or a number: cannot be called, unpacked or indexed."""


@dataclass(frozen=True, eq=False, slots=True)
class Text(Token):
    """A string that is written in the code, so that keys and names of attributes are known."""

    text: str


@dataclass(frozen=True, eq=False, slots=True)
class External(Token):
    """Something outside the project by its path: `torch.nn.Linear`, and what calling it gives: `torch.nn.Linear()`."""

    path: str


@dataclass(frozen=True, eq=False, slots=True)
class ModuleToken(Token):
    """A file of the project as a module."""

    code: ModuleCode


@dataclass(frozen=True, eq=False, slots=True)
class ClassToken(Token):
    """A class of the project."""

    info: ClassInfo


@dataclass(frozen=True, eq=False, slots=True)
class Instance(Token):
    """Any instance of a class of the project."""

    info: ClassInfo


@dataclass(frozen=True, eq=False, slots=True)
class Function(Token):
    """A function, or a method with what it is bound to."""

    info: FunctionInfo
    bound: Value = frozenset()


@dataclass(frozen=True, eq=False, slots=True)
class Super(Token):
    """What `super()` gives in a method."""

    info: ClassInfo
    bound: Value = frozenset()


@dataclass(frozen=True, eq=False, slots=True)
class Partial(Token):
    """`functools.partial` of a function."""

    function: Value
    arguments: tuple[Value, ...]
    keywords: tuple[tuple[str, Value], ...]


@dataclass(frozen=True, eq=False, slots=True)
class RecordClass(Token):
    """What `namedtuple("Output", "mu logvar")` makes."""

    names: tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Method(Token):
    """A method that the project does not define: of a container, or inherited from a library's class."""

    receiver: Token
    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Box(Token):
    """A container that one place in the code makes; its contents are cells of the heap."""

    kind: str
    """`tuple`, `list`, `dict`, `record`, `sequential`, `loader`, or `iterator`."""
    code: ModuleCode
    node: ast.AST
    is_literal: bool = False
    """Whether the place is a display of which every value is written there: `a, b`, `{"a": a}`."""
    num_values: int = field(default=0)
    names: tuple[str, ...] = ()
    """Of a record: the names of its values."""


Value = frozenset[Token]
ALL = object()
"""The key of the cell that holds what any item of a container can be."""

EMPTY: Value = frozenset()
JUST_UNKNOWN: Value = frozenset({UNKNOWN})
JUST_OPAQUE: Value = frozenset({OPAQUE})
JUST_NOTHING: Value = frozenset({NOTHING})


def is_output(token: Token) -> bool:
    """Whether a refactoring may give the container names."""
    return isinstance(token, Box) and token.is_literal


def has_names(token: Token) -> bool:
    """Whether the values of a result are told apart by names."""
    if isinstance(token, Box):
        return token.kind in ("dict", "record") and token.num_values > 0
    return isinstance(token, Instance) and token.info.record is not None


def has_outputs(value: Value) -> bool:
    """Whether there is a container among the values that a refactoring may give names."""
    return any(map(is_output, value))
