"""Where a value comes from: back from an expression through names, reshapes and `1 - p` to the activation behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.calls import Calls, Operation
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.flow import Definition, Flow
from pipeline_lint.facts.code.names import Names
from pipeline_lint.source import Source

_OPERATIONS = frozenset({"exp", "log_softmax", "logsigmoid", "sigmoid", "softmax"})
_MODULES = {
    "torch.nn.LogSigmoid": "logsigmoid",
    "torch.nn.LogSoftmax": "log_softmax",
    "torch.nn.Sigmoid": "sigmoid",
    "torch.nn.Softmax": "softmax",
    "torch.nn.Softmax2d": "softmax",
}
_MOVES = frozenset({"cpu", "cuda", "eval", "requires_grad_", "to", "train"})
"""Methods that give the module itself."""
_RESHAPE_NAMES = """
bfloat16 clone contiguous cpu cuda detach double expand expand_as flatten flip float gather half index_select
masked_select movedim narrow permute repeat reshape reshape_as roll select squeeze swapaxes swapdims t take_along_dim to
transpose type_as unflatten unsqueeze view view_as
"""
_RESHAPES = frozenset(_RESHAPE_NAMES.split())
"""Operations that only move, pick, copy or cast values, so that an elementwise function may come before or after."""
_VIEW_ATTRIBUTES = frozenset({"T", "mT", "data"})
_CLAMPS = frozenset({"clamp", "clamp_min", "clamp_max", "maximum"})
EPSILON_NAME = re.compile(r"eps|tiny|smooth|delta", re.IGNORECASE)
LARGEST_EPSILON = 0.1
"""A larger constant changes what is computed, and is no guard."""
_MOST_LINKS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Activation:
    """A sigmoid or softmax, the logarithm of one, or an exp, however it is spelled."""

    name: str
    """`sigmoid`, `softmax`, `logsigmoid`, `log_softmax` or `exp`."""
    call: cst.Call
    operand: cst.BaseExpression
    operation: Operation | None
    """None where a module is called."""
    constructor: cst.Call | None = None
    """`nn.Softmax(dim=1)` of a module that is called, wherever it is built."""


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """One step from an expression to the one that it takes its values from."""

    node: cst.BaseExpression
    inner: cst.BaseExpression
    definition: Definition | None = None
    """For a name: what it was given."""
    is_reshape: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """`scale * inner + offset` is what an expression is, apart from its shape and dtype."""

    inner: cst.BaseExpression
    """An activation, or what nothing is known of: a parameter, a call."""
    links: tuple[Link, ...]
    """From the expression inwards."""
    scale: float
    offset: float
    has_epsilon: bool
    """Whether a clamp or a small constant keeps the value off its bounds; a constant without a name is in `offset`."""
    changes_memory: bool
    """Whether an in-place operation is on the way."""

    @property
    def definitions(self) -> list[Definition]:
        """The definitions of the names on the way, the last one first."""
        return [link.definition for link in self.links if link.definition is not None]


@dataclass(frozen=True, slots=True, eq=False)
class Origin(Trace):
    """`scale * activation + offset` is what an expression is, apart from its shape and dtype."""

    activation: Activation


class Origins:
    """The origins of one file's values: `source.fact(Origins)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names = source.fact(Names)
        self._calls = source.fact(Calls)
        self._flow = source.fact(Flow)
        self._attributes: dict[tuple[int, str], list[cst.BaseExpression | None]] | None = None

    def origin(self, expression: cst.BaseExpression) -> Origin | None:
        """The activation that an expression takes its values from."""
        trace = self.trace(expression)
        activation = self.activation(trace.inner)
        if activation is None:
            return None
        is_inplace = activation.operation is not None and activation.operation.is_inplace
        changes_memory = trace.changes_memory or is_inplace
        return Origin(
            trace.inner, trace.links, trace.scale, trace.offset, trace.has_epsilon, changes_memory, activation
        )

    def trace(self, expression: cst.BaseExpression) -> Trace:
        """The expression followed back as far as it is only named, reshaped, scaled by a sign or moved by a number."""
        links: list[Link] = []
        scale, offset, has_epsilon, changes_memory = 1.0, 0.0, False, False
        while len(links) < _MOST_LINKS and self.activation(expression) is None:
            step = self._step(expression)
            if step is None:
                break
            links.append(step.link)
            offset += scale * step.offset
            scale *= step.scale
            has_epsilon |= step.is_epsilon
            changes_memory |= step.is_inplace
            expression = step.link.inner
        return Trace(expression, tuple(links), scale, offset, has_epsilon, changes_memory)

    def activation(self, expression: cst.BaseExpression) -> Activation | None:
        """The activation that an expression is."""
        if not isinstance(expression, cst.Call):
            return None
        operation = self._calls.operation(expression)
        if operation is not None:
            if operation.name in _OPERATIONS and operation.input is not None:
                return Activation(operation.name, expression, operation.input, operation)
            return None
        constructor = self._constructor(expression.func)
        if constructor is None or len(expression.args) != 1:
            return None
        argument = expression.args[0]
        if argument.star or (argument.keyword is not None and argument.keyword.value != "input"):
            return None
        name = _MODULES[self._names.resolve(constructor.func) or ""]
        return Activation(name, expression, argument.value, None, constructor)

    def _constructor(self, function: cst.BaseExpression) -> cst.Call | None:
        """`nn.Sigmoid()` where `function` is that, a name for it, or an attribute of the class that holds it."""
        built: cst.BaseExpression | None = function
        if isinstance(function, cst.Name):
            built = self._flow.value_of(function)
        elif isinstance(function, cst.Attribute):
            built = self._attribute(function)
        while isinstance(built, cst.Call) and called_name(built) in _MOVES and isinstance(built.func, cst.Attribute):
            built = built.func.value
        if isinstance(built, cst.Call) and self._names.resolve(built.func) in _MODULES:
            return built
        return None

    def _attribute(self, node: cst.Attribute) -> cst.BaseExpression | None:
        """What `self.act` holds, where the class gives it a value just once."""
        owner = self._source.enclosing(node, cst.ClassDef)
        if owner is None or not isinstance(node.value, cst.Name) or node.value.value != "self":
            return None
        if self._attributes is None:
            self._attributes = {}
            for key, value in self._assigned_attributes():
                self._attributes.setdefault(key, []).append(value)
        values = self._attributes.get((id(owner), node.attr.value), [])
        return values[0] if len(values) == 1 else None

    def _assigned_attributes(self) -> Iterator[tuple[tuple[int, str], cst.BaseExpression | None]]:
        """Class and name of each `self.name = value`; None for a value that is unpacked or computed from the old."""
        assigned: list[tuple[cst.BaseExpression, cst.BaseExpression | None]] = []
        for assign in self._source.nodes(cst.Assign):
            assigned += [(target.target, assign.value) for target in assign.targets]
        for annotated in self._source.nodes(cst.AnnAssign):
            assigned.append((annotated.target, annotated.value))
        for augmented in self._source.nodes(cst.AugAssign):
            assigned.append((augmented.target, None))
        for target, value in assigned:
            parts = target.elements if isinstance(target, cst.Tuple | cst.List) else ()
            for each in (target, *(part.value for part in parts)):
                match each:
                    case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)):
                        owner = self._source.enclosing(each, cst.ClassDef)
                        yield (id(owner), name), value if each is target else None

    def _step(self, expression: cst.BaseExpression) -> _Step | None:
        match expression:
            case cst.Name():
                definition = self._flow.definition_of(expression)
                return _Step(Link(expression, definition.value, definition)) if definition is not None else None
            case cst.Subscript(value=inner):
                return _Step(Link(expression, inner, is_reshape=True))
            case cst.Attribute(value=inner, attr=cst.Name(value=name)) if name in _VIEW_ATTRIBUTES:
                return _Step(Link(expression, inner, is_reshape=True))
            case cst.UnaryOperation(operator=cst.Minus(), expression=inner):
                return _Step(Link(expression, inner), scale=-1.0)
            case cst.BinaryOperation(left=left, operator=cst.Add(), right=right):
                return self._sum(expression, left, right, sign=1.0)
            case cst.BinaryOperation(left=left, operator=cst.Subtract(), right=right):
                return self._sum(expression, left, right, sign=-1.0)
            case cst.Call():
                return self._operation_step(expression)
        return None

    def _operation_step(self, call: cst.Call) -> _Step | None:
        operation = self._calls.operation(call)
        if operation is None or operation.input is None:
            return None
        name, inner, is_inplace = operation.name, operation.input, operation.is_inplace or "out" in operation.operands
        other = operation.operands.get("other")
        if name in _RESHAPES:
            return _Step(Link(call, inner, is_reshape=True), is_inplace=is_inplace)
        if name in _CLAMPS and (name != "maximum" or (other is not None and self._constant(other) is not None)):
            bound = operation.operands.get("min", other)
            if bound is not None and self._is_tiny(bound):
                return None
            return _Step(Link(call, inner), is_epsilon=True, is_inplace=is_inplace)
        if name == "neg":
            return _Step(Link(call, inner), scale=-1.0, is_inplace=is_inplace)
        if name in ("add", "sub") and other is not None and "alpha" not in operation.operands and not is_inplace:
            return self._sum(call, inner, other, sign=1.0 if name == "add" else -1.0)
        return None

    def _is_tiny(self, bound: cst.BaseExpression) -> bool:
        """Whether a bound is the dtype's own smallest number, the way to clamp that loses nothing."""
        value = self._flow.value_of(bound) if isinstance(bound, cst.Name) else bound
        return isinstance(value, cst.Attribute) and value.attr.value in ("tiny", "smallest_normal")

    def _sum(
        self, node: cst.BaseExpression, left: cst.BaseExpression, right: cst.BaseExpression, *, sign: float
    ) -> _Step | None:
        """`left + sign * right` where one side is a number."""
        constant = self._constant(right)
        if constant is not None:
            return _Step(Link(node, left), offset=sign * constant.value, is_epsilon=constant.is_epsilon)
        constant = self._constant(left, beside=right)
        if constant is None:
            return None
        return _Step(Link(node, right), scale=sign, offset=constant.value, is_epsilon=constant.is_epsilon)

    def _constant(self, node: cst.BaseExpression, beside: cst.BaseExpression | None = None) -> _Constant | None:
        """A number, a name that says epsilon (its value counts as none), or `ones_like` of the value beside it."""
        number = _number(node)
        if number is not None:
            return _Constant(number, is_epsilon=False)
        match node:
            case cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)) if EPSILON_NAME.search(name):
                return _Constant(0.0, is_epsilon=True)
            case cst.BinaryOperation(left=left, operator=cst.Add() | cst.Subtract(), right=right):
                one, other = self._constant(left), self._constant(right)
                if one is not None and other is not None:
                    return _Constant(one.value, is_epsilon=True)
            case cst.Call() if beside is not None:
                operation = self._calls.operation(node)
                like = operation.input if operation is not None and operation.name == "ones_like" else None
                if like is not None and self._source.code(like) == self._source.code(beside):
                    return _Constant(1.0, is_epsilon=False)
        return None


@dataclass(frozen=True, slots=True)
class _Step:
    """`node` of the link is `scale * inner + offset`."""

    link: Link
    scale: float = 1.0
    offset: float = 0.0
    is_epsilon: bool = False
    is_inplace: bool = False


@dataclass(frozen=True, slots=True)
class _Constant:
    value: float
    is_epsilon: bool


def _number(node: cst.BaseExpression) -> float | None:
    """The value of a number, or of a sum of numbers."""
    match node:
        case cst.Integer() | cst.Float():
            return float(node.evaluated_value)
        case cst.UnaryOperation(operator=cst.Minus(), expression=inner):
            value = _number(inner)
            return -value if value is not None else None
        case cst.BinaryOperation(left=left, operator=cst.Add() | cst.Subtract() as operator, right=right):
            one, other = _number(left), _number(right)
            if one is not None and other is not None:
                return one + other if isinstance(operator, cst.Add) else one - other
    return None
