"""Which values of a training loop carry the graph of the forward pass: losses and what they are made of."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.loops.actions import Action, Actions, Kind
from pipeline_lint.facts.loops.gradient_mode import GradientMode
from pipeline_lint.facts.loops.roles import path_of
from pipeline_lint.source import Source

_DETACHING = frozenset(
    """item detach detach_ tolist numpy size dim numel argmax argmin argsort long int bool item_ keys
    backward format get_shape""".split()
)
_KEEPING = frozenset(
    """abs clone contiguous cpu cuda double exp flatten float log mean neg pow reshape sqrt square squeeze sum to
    type_as unsqueeze view""".split()
)
_BUILTINS = frozenset({"float", "int", "str", "len", "bool", "round", "repr", "to_number", "print"})
_LOSS_NAME = re.compile(r"loss|err|(^|_)(kld?|reg|nll|ce|bce|mse|adv|cost|gp)(_|$|\d)|penalty|diverg", re.IGNORECASE)
_MOST_STEPS = 8


class Graphs:
    """The values of one file that backward is called on, or that such a value is added up from."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._actions = source.fact(Actions)
        self._flow = source.fact(Flow)
        self._mode = source.fact(GradientMode)
        self._losses: dict[tuple[int, str], Action] = {}
        self._terms: dict[tuple[int, str], Action] = {}
        self._definitions: dict[tuple[int, str], list[cst.BaseExpression]] = defaultdict(list)
        backwards = [action for action in self._actions.all if action.kind is Kind.BACKWARD and action.value]
        if backwards:
            self._note_definitions()
        for action in backwards:
            assert action.value is not None
            self._note_loss(action, action.value)

    def attached(self, node: cst.BaseExpression, depth: int = 0) -> tuple[cst.BaseExpression, ...]:
        """The innermost parts of an expression by which it carries a graph; none where it carries none for certain."""
        if depth > _MOST_STEPS or self._mode.is_off(node):
            return ()
        match node:
            case cst.Name():
                return self._of_name(node, depth)
            case cst.Attribute(attr=cst.Name(value=name)):
                is_loss = name not in ("data", "shape", "grad") and self.is_loss(node)
                return (node,) if is_loss else ()
            case cst.BinaryOperation(left=left, right=right):
                return (*self.attached(left, depth + 1), *self.attached(right, depth + 1))
            case cst.UnaryOperation(expression=inner):
                return self.attached(inner, depth + 1)
            case cst.Tuple(elements=elements) | cst.List(elements=elements):
                return tuple(part for each in elements for part in self.attached(each.value, depth + 1))
            case cst.Dict(elements=entries):
                return tuple(part for each in entries for part in self.attached(each.value, depth + 1))
            case cst.Call():
                return self._of_call(node, depth)
        return ()

    def is_loss(self, node: cst.BaseExpression) -> bool:
        """Whether backward is called on a variable, in its own function (of an attribute: in its class)."""
        return self._key(node) in self._losses

    def backward_of(self, node: cst.BaseExpression) -> Action | None:
        """The backward that is called on a variable, or on a sum that it is a term of."""
        key = self._key(node)
        return self._losses.get(key) or self._terms.get(key)

    def is_differentiated(self, node: cst.BaseExpression) -> bool:
        """Whether backward is called on a variable, or on a sum that it is a term of."""
        return self.backward_of(node) is not None

    def returns_loss(self, function: cst.FunctionDef) -> bool:
        """Whether a function gives back a value that it has called backward on."""
        returned = [
            statement.value
            for statement in self._source.nodes(cst.Return)
            if statement.value is not None and self._source.function_of(statement) is function
        ]
        return any(isinstance(value, cst.Name) and self.attached(value) for value in returned)

    def _of_name(self, node: cst.Name, depth: int) -> tuple[cst.BaseExpression, ...]:
        definition = self._flow.value_of(node)
        if definition is not None and isinstance(definition, cst.Call) and self._is_detached(definition):
            return ()
        if self.is_differentiated(node):
            return (node,)
        if isinstance(definition, cst.BinaryOperation | cst.Call) and self.attached(definition, depth + 1):
            return (node,)
        return ()

    def _of_call(self, node: cst.Call, depth: int) -> tuple[cst.BaseExpression, ...]:
        callee = self._actions.function_called(node)
        if callee is not None:
            return (node,) if self.returns_loss(callee) and not self._mode.is_off(callee.body) else ()
        match node.func:
            case cst.Attribute(value=receiver, attr=cst.Name(value=name)) if name in _KEEPING:
                parts = self.attached(receiver, depth + 1)
                if parts:
                    return parts
                is_torch = path_of(self._source, receiver) == "torch"
                return self.attached(node.args[0].value, depth + 1) if is_torch and node.args else ()
        return ()

    def _is_detached(self, call: cst.Call) -> bool:
        match call.func:
            case cst.Attribute(attr=cst.Name(value=name)):
                return name in _DETACHING
            case cst.Name(value=name):
                return name in _BUILTINS
        return False

    def _note_definitions(self) -> None:
        for target in self._source.nodes(cst.AssignTarget):
            assign = self._source.parent(target)
            key = self._key(target.target)
            if isinstance(assign, cst.Assign) and key[1]:
                self._definitions[key].append(assign.value)
        for augmented in self._source.nodes(cst.AugAssign):
            key = self._key(augmented.target)
            if key[1] and isinstance(augmented.operator, cst.AddAssign | cst.SubtractAssign):
                self._definitions[key].append(augmented.value)

    def _note_loss(self, action: Action, node: cst.BaseExpression) -> None:
        """A value that backward is called on, with the variables that it is a sum of."""
        if isinstance(node, cst.Name | cst.Attribute) and path_of(self._source, node):
            self._losses.setdefault(self._key(node), action)
            for value in self._definitions[self._key(node)]:
                for term in _terms(value):
                    self._note_term(action, term)
            return
        for term in _terms(node):
            self._note_term(action, term)

    def _note_term(self, action: Action, node: cst.BaseExpression, depth: int = 0) -> None:
        key = self._key(node)
        if not key[1] or key in self._terms or depth > _MOST_STEPS or not self._is_computed(key):
            return
        self._terms[key] = action
        for value in self._definitions[key]:
            for term in _terms(value):
                self._note_term(action, term, depth + 1)

    def _is_computed(self, key: tuple[int, str]) -> bool:
        """Whether a variable is given a value that a call computes, rather than a weight or a constant."""
        return any(
            isinstance(value, cst.Call | cst.BinaryOperation)
            and not (isinstance(value, cst.Call) and self._is_detached(value))
            for value in self._definitions[key]
        )

    def _key(self, node: cst.BaseExpression) -> tuple[int, str]:
        path = path_of(self._source, node)
        if path.startswith("self."):
            return id(self._source.enclosing(node, cst.ClassDef)), path
        return id(self._source.function_of(node) or self._source.module), path


def _terms(node: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    """The variables that a value is a sum of, each perhaps with a factor."""
    match node:
        case cst.Name() | cst.Attribute():
            yield node
        case cst.BinaryOperation(left=left, operator=cst.Add() | cst.Subtract(), right=right):
            yield from _terms(left)
            yield from _terms(right)
        case cst.BinaryOperation(left=left, operator=cst.Divide()):
            yield from _terms(left)
        case cst.BinaryOperation(left=left, operator=cst.Multiply(), right=right):
            # Of a product one side is a weight.
            for side in (left, right):
                yield from (term for term in _terms(side) if _LOSS_NAME.search(last_name(term)))
        case cst.UnaryOperation(expression=inner):
            yield from _terms(inner)
        case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value="mean" | "sum"))):
            yield from _terms(inner)


def last_name(node: cst.BaseExpression) -> str:
    """`loss` of `self.out.loss`."""
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return node.value if isinstance(node, cst.Name) else ""


def is_loss_name(name: str) -> bool:
    """Whether a variable is called as losses are."""
    return _LOSS_NAME.search(name) is not None
