"""What one reading of a file carries along, and how it comes from a node to the function that reads such nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import libcst as cst

from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.ranges.applier import Applier
from pipeline_lint.facts.ranges.attributes import Attributes
from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.value import OTHER, UNKNOWN, Value
from pipeline_lint.source import Source

Expressions = Mapping[type[Any], Callable[["Run", Any, State], Value]]
"""What evaluates a kind of expression."""
Statements = Mapping[type[Any], Callable[["Run", Any, State], None]]
"""What a kind of compound statement does to a state."""
SmallStatement = Callable[["Run", cst.BaseSmallStatement, State], None]


class Ends:
    """The states in which `break` and `continue` leave the body of a loop."""

    __slots__ = ("broken", "continued")

    def __init__(self) -> None:
        self.broken: list[State] = []
        self.continued: list[State] = []


class Run:
    """One abstract run over the functions of a file."""

    def __init__(
        self, source: Source, expressions: Expressions, compounds: Statements, small_statement: SmallStatement
    ) -> None:
        self.source = source
        self.names = source.fact(Names)
        self.calls = source.fact(Calls)
        self.attributes = source.fact(Attributes)
        self.applier = Applier()
        self.numbers = self.applier.numbers
        self.recorder = self.applier.recorder
        self.globals: dict[str, Value] = {}
        """Names of the module that are bound once."""
        self.functions: dict[str, cst.FunctionDef] = {}
        """Functions of the module."""
        self.owner: cst.ClassDef | None = None
        """The class whose method is being read."""
        self.attribute_values: dict[tuple[int, str], Value | None] = {}
        self.literals: dict[str, Value] = {}
        """Numbers by their code."""
        self.returned: list[Value] = []
        """What the function that is being read gives back, on each of its ways out."""
        self.leaving: list[Ends] = []
        """For each loop around, innermost last, how its body was left so far."""
        self.call_depth = 0
        self.loop_depth = 0
        self.num_inlined = 0
        """Statements that were read again at calls."""
        self.lengths: dict[int, int] = {}
        self.inner_functions: dict[str, cst.FunctionDef] = {}
        """Functions inside the one that is being read."""
        self.owners: set[str] = set()
        """Paths whose attributes were given values: what they held is gone when the path is bound again."""
        self.active: set[int] = set()
        """Functions that are being read at a call, so that a recursion ends."""
        self._expressions = expressions
        self._compounds = compounds
        self._small_statement = small_statement

    def evaluate(self, node: cst.BaseExpression | None, state: State) -> Value:
        """The value of an expression; one of which nothing is known where it cannot be followed."""
        if node is None:
            return UNKNOWN
        evaluator = self._expressions.get(node.__class__)
        if evaluator is None:
            return Value(kind=OTHER)
        value = evaluator(self, node, state)
        return state.refined(value) if state.bounds or state.nonempty else value

    def silently(self, node: cst.BaseExpression, state: State) -> Value:
        """The value of an expression, without a note of its operations."""
        with self.recorder.paused():
            return self.evaluate(node, state)

    def block(self, statements: Sequence[cst.CSTNode], state: State) -> None:
        """Runs statements until one leaves."""
        for statement in statements:
            if state.is_dead:
                return
            if isinstance(statement, cst.SimpleStatementLine):
                for part in statement.body:
                    self._small_statement(self, part, state)
            else:
                compound = self._compounds.get(statement.__class__)
                if compound is not None:
                    compound(self, statement, state)

    def suite(self, suite: cst.BaseSuite, state: State) -> None:
        """Runs the body of a compound statement."""
        if isinstance(suite, cst.SimpleStatementSuite):
            for part in suite.body:
                self._small_statement(self, part, state)
        else:
            self.block(suite.body, state)
