"""The values of expressions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.calls import Calls, Operation
from pipeline_lint.facts.names import Names
from pipeline_lint.facts.operations import MODULES
from pipeline_lint.facts.ranges.applier import SEQUENTIAL, Applier
from pipeline_lint.facts.ranges.builtin_functions import BUILTIN_NAMES, BUILTINS
from pipeline_lint.facts.ranges.conditions import effects
from pipeline_lint.facts.ranges.numeric_names import named_constant
from pipeline_lint.facts.ranges.priors import value_named
from pipeline_lint.facts.ranges.recorder import Use
from pipeline_lint.facts.ranges.site import Mask
from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.value import (
    INFINITY,
    NUMBER,
    OTHER,
    SEQUENCE,
    TENSOR,
    UNKNOWN,
    UNKNOWN_KIND,
    Evidence,
    Made,
    Value,
    constant,
    join,
)
from pipeline_lint.source import Source

_BINARY: dict[type[cst.BaseBinaryOp], str] = {
    cst.Add: "add",
    cst.Subtract: "sub",
    cst.Multiply: "mul",
    cst.Divide: "div",
    cst.FloorDivide: "floor_divide",
    cst.Modulo: "remainder",
    cst.Power: "pow",
    cst.MatrixMultiply: "matmul",
    cst.BitAnd: "bitwise_and",
    cst.BitOr: "bitwise_or",
    cst.BitXor: "bitwise_xor",
}
AUGMENTED: dict[type[cst.BaseAugOp], str] = {
    cst.AddAssign: "add",
    cst.SubtractAssign: "sub",
    cst.MultiplyAssign: "mul",
    cst.DivideAssign: "div",
    cst.FloorDivideAssign: "floor_divide",
    cst.ModuloAssign: "remainder",
    cst.PowerAssign: "pow",
    cst.MatrixMultiplyAssign: "matmul",
    cst.BitAndAssign: "bitwise_and",
    cst.BitOrAssign: "bitwise_or",
}
_COMPARISONS: dict[type[cst.BaseCompOp], str] = {
    cst.GreaterThan: "gt",
    cst.GreaterThanEqual: "ge",
    cst.LessThan: "lt",
    cst.LessThanEqual: "le",
    cst.Equal: "eq",
    cst.NotEqual: "ne",
}
_FOLDED: dict[str, Callable[[float, float], float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "floor_divide": lambda a, b: a // b,
    "remainder": lambda a, b: a % b,
    "pow": lambda a, b: a**b,
}
_VIEW_ATTRIBUTES = frozenset({"T", "mT", "H", "mH", "real"})


class Evaluator:
    """Evaluates expressions in a state; `Interpreter` adds statements and functions."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.names = source.fact(Names)
        self.calls = source.fact(Calls)
        self.applier = Applier()
        self.numbers = self.applier.numbers
        self.recorder = self.applier.recorder
        self._handlers: dict[type[Any], Callable[[Any, State], Value]] = {
            cst.Name: self._name,
            cst.Attribute: self._attribute,
            cst.Integer: self._literal,
            cst.Float: self._literal,
            cst.BinaryOperation: self._binary,
            cst.UnaryOperation: self._unary,
            cst.Comparison: self._comparison,
            cst.BooleanOperation: self._boolean,
            cst.Call: self._call,
            cst.Subscript: self._subscript,
            cst.Tuple: self._sequence,
            cst.List: self._sequence,
            cst.IfExp: self._conditional,
            cst.NamedExpr: self._walrus,
            cst.ListComp: self._comprehension,
            cst.GeneratorExp: self._comprehension,
            cst.SetComp: self._comprehension,
            cst.DictComp: self._dict_comprehension,
            cst.Dict: self._dict,
            cst.Lambda: self._lambda,
            cst.Await: self._await,
            cst.StarredElement: self._starred,
        }

    def evaluate(self, node: cst.BaseExpression | None, state: State) -> Value:
        """The value of an expression; one of which nothing is known where it cannot be followed."""
        if node is None:
            return UNKNOWN
        handler = self._handlers.get(node.__class__)
        if handler is None:
            return Value(kind=OTHER)
        value = handler(node, state)
        return state.refined(value) if state.bounds else value

    # Names and attributes

    def _name(self, node: cst.Name, state: State) -> Value:
        name = node.value
        value = state.names.get(name)
        if value is not None:
            return value
        if name in ("True", "False"):
            value = constant(float(name == "True"))
            value.dtype = "bool"
            return value
        if name == "None":
            return Value(kind=OTHER)
        value = self._path_constant(node)
        if value is None:
            value = self.global_value(name, node)
        if value is None:
            value = value_named(name) or Value()
        state.names[name] = value
        return value

    def _attribute(self, node: cst.Attribute, state: State) -> Value:
        path = _path(node)
        if path is not None:
            value = state.names.get(path)
            if value is not None:
                return value
            value = self._path_constant(node)
            if value is not None:
                return value
        name = node.attr.value
        if path is not None and path.startswith("self.") and path.count(".") == 1:
            found = self.self_attribute(name, node)
            if found is not None:
                state.names[path] = found
                return found
        owner = self.evaluate(node.value, state)
        value = self._attribute_of(owner, name, node)
        if path is not None and not value.is_unknown:
            return value
        return self.numbers.numbered(value, ("attribute", owner.number, name))

    def _attribute_of(self, owner: Value, name: str, node: cst.Attribute) -> Value:
        made = owner.made
        if made is not None and made.operation == "finfo":
            limit = named_constant(f"finfo.{name}", owner.dtype)
            if limit is not None:
                return limit
        if name == "shape":
            return Value(
                0.0, INFINITY, kind=SEQUENCE, is_count=True, has_gradient=False, made=Made("shape", node, (owner,))
            )
        if name in ("ndim", "nbytes", "itemsize"):
            return Value(0.0, INFINITY, kind=NUMBER, is_count=True, has_gradient=False)
        if name == "dtype":
            return Value(kind=OTHER, dtype=owner.dtype)
        if name in ("device", "requires_grad", "is_cuda", "names", "layout"):
            return Value(kind=OTHER)
        if owner.items and name in ("values", "indices"):
            return owner.items[0 if name == "values" else min(1, len(owner.items) - 1)]
        if name in _VIEW_ATTRIBUTES:
            return dataclasses.replace(owner, number=self.numbers.of((name, owner.number)), root=owner.root)
        if name == "data":
            return dataclasses.replace(owner, has_gradient=False)
        if name == "grad":
            return Value(kind=TENSOR, has_gradient=False, made=Made("grad", node, (owner,)))
        if name == "values" and made is not None and made.operation in ("max", "min", "amax", "amin"):
            return owner
        return value_named(name) or Value()

    def _path_constant(self, node: cst.Name | cst.Attribute) -> Value | None:
        resolved = self.names.resolve(node)
        return named_constant(resolved, None) if resolved is not None else None

    def global_value(self, name: str, at: cst.CSTNode) -> Value | None:
        """What a name of the module around holds; None where that is not known."""
        return None

    def self_attribute(self, name: str, at: cst.CSTNode) -> Value | None:
        """What `self.name` holds, from what the class assigns to it."""
        return None

    # Operators

    def _literal(self, node: cst.Integer | cst.Float, state: State) -> Value:
        try:
            number = float(node.evaluated_value)
        except (OverflowError, ValueError):
            return Value(kind=NUMBER)
        value = constant(number)
        if isinstance(node, cst.Integer):
            value.dtype = "int64"
        return self.numbers.numbered(value, ("constant", number))

    def _binary(self, node: cst.BinaryOperation, state: State) -> Value:
        # Long sums are chains to the left; a loop instead of a recursion keeps them cheap.
        chain = [node]
        left = node.left
        while left.__class__ is cst.BinaryOperation:
            chain.append(left)
            left = left.left
        value = self.evaluate(left, state)
        while chain:
            current = chain.pop()
            right = self.evaluate(current.right, state)
            name = _BINARY.get(current.operator.__class__, "unknown")
            value = self.operate(name, current, (current.left, current.right), (value, right), state)
            if state.bounds:
                value = state.refined(value)
        return value

    def operate(
        self,
        name: str,
        node: cst.BinaryOperation | cst.AugAssign,
        sides: tuple[cst.BaseExpression, cst.BaseExpression],
        values: tuple[Value, Value],
        state: State,
    ) -> Value:
        """The value of a binary operator with these sides."""
        left, right = values
        if left.kind == NUMBER and right.kind == NUMBER and left.is_constant and right.is_constant and name in _FOLDED:
            try:
                number = _FOLDED[name](left.low, right.low)
                if isinstance(number, float):
                    result = constant(number)
                    if left.is_integer and right.is_integer and name != "div":
                        result.dtype = "int64"
                    return self.numbers.numbered(result, ("constant", number))
            except (ZeroDivisionError, OverflowError, ValueError):
                pass
        if left.kind == SEQUENCE and right.kind == SEQUENCE and name == "add":
            items = left.items + right.items if left.items is not None and right.items is not None else None
            return Value(kind=SEQUENCE, items=items)
        if OTHER in (left.kind, right.kind) and name in ("add", "remainder", "mul", "bitwise_or"):
            return Value(kind=OTHER) if left.kind == right.kind or name != "mul" else Value()
        second = "exponent" if name == "pow" else "other"
        operands = {"input": sides[0], second: sides[1]}
        return self.applier.apply(Use(name, node, operands, {"input": left, second: right}), state)

    def _unary(self, node: cst.UnaryOperation, state: State) -> Value:
        value = self.evaluate(node.expression, state)
        operator = node.operator
        if isinstance(operator, cst.Minus):
            if value.kind == NUMBER and value.is_constant:
                return self.numbers.numbered(
                    dataclasses.replace(constant(-value.low), dtype=value.dtype), ("constant", -value.low)
                )
            return self.applier.apply(Use("neg", node, {"input": node.expression}, {"input": value}), state)
        if isinstance(operator, cst.Plus):
            return value
        name = "logical_not" if isinstance(operator, cst.Not) else "bitwise_not"
        return self._truth(name, node, (value,))

    def _comparison(self, node: cst.Comparison, state: State) -> Value:
        left = self.evaluate(node.left, state)
        found: Value | None = None
        for target in node.comparisons:
            right = self.evaluate(target.comparator, state)
            name = _COMPARISONS.get(target.operator.__class__)
            each = (
                self._truth(name, node, (left, right))
                if name is not None
                else Value(0.0, 1.0, dtype="bool", kind=NUMBER)
            )
            found = each if found is None else self._truth("logical_and", node, (found, each))
            left = right
        return found or Value()

    def _truth(self, name: str, node: cst.CSTNode, inputs: tuple[Value, ...]) -> Value:
        """A boolean, or a tensor of booleans."""
        kinds = {value.kind for value in inputs}
        kind = NUMBER if kinds <= {NUMBER, OTHER} else TENSOR if TENSOR in kinds else UNKNOWN_KIND
        nothing = Evidence(Confidence.LIKELY, "a condition that holds nowhere")
        everything = Evidence(Confidence.LIKELY, "a condition that holds everywhere")
        value = Value(
            0.0,
            1.0,
            nothing,
            everything,
            nothing,
            dtype="bool",
            kind=kind,
            has_gradient=False,
            made=Made(name, node, inputs),
        )
        return self.numbers.numbered(value, (name, *(each.number for each in inputs)))

    def _boolean(self, node: cst.BooleanOperation, state: State) -> Value:
        left = self.evaluate(node.left, state)
        is_and = isinstance(node.operator, cst.And)
        right_state = state
        if left.made is not None or left.is_count:
            right_state = state.copy()
            right_state.learn(effects(left, is_met=is_and))
        right = self.evaluate(node.right, right_state)
        if left.dtype == "bool" or left.kind == OTHER:
            return self._truth("logical_and" if is_and else "logical_or", node, (left, right))
        if not is_and:
            # `x or default` is `x` only where that is not 0.
            left = dataclasses.replace(left, zero=None, is_nonzero=True)
        return join(left, right)

    def _conditional(self, node: cst.IfExp, state: State) -> Value:
        test = self.evaluate(node.test, state)
        met, not_met = state.copy(), state.copy()
        met.learn(effects(test, is_met=True))
        not_met.learn(effects(test, is_met=False))
        one, other = self.evaluate(node.body, met), self.evaluate(node.orelse, not_met)
        if other.kind == OTHER and one.kind != OTHER:
            return one
        if one.kind == OTHER and other.kind != OTHER:
            return other
        return join(one, other)

    # Containers

    def _sequence(self, node: cst.Tuple | cst.List, state: State) -> Value:
        items = tuple(self.evaluate(element.value, state) for element in node.elements)
        is_starred = any(isinstance(element, cst.StarredElement) for element in node.elements)
        empty = Evidence(Confidence.LIKELY, "a list that starts empty") if not items else None
        return Value(
            kind=SEQUENCE,
            items=None if is_starred else items,
            empty=empty,
            has_gradient=any(i.has_gradient for i in items),
        )

    def _starred(self, node: cst.StarredElement, state: State) -> Value:
        return self.evaluate(node.value, state)

    def _dict(self, node: cst.Dict, state: State) -> Value:
        for element in node.elements:
            self.evaluate(element.value, state)
        return Value(kind=OTHER)

    def _await(self, node: cst.Await, state: State) -> Value:
        return self.evaluate(node.expression, state)

    def _walrus(self, node: cst.NamedExpr, state: State) -> Value:
        value = self.evaluate(node.value, state)
        if isinstance(node.target, cst.Name):
            state.names[node.target.value] = value
        return value

    def _lambda(self, node: cst.Lambda, state: State) -> Value:
        inner = state.copy()
        self.bind_parameters(node.params, inner)
        self.evaluate(node.body, inner)
        return Value(kind=OTHER)

    def _comprehension(self, node: cst.ListComp | cst.GeneratorExp | cst.SetComp, state: State) -> Value:
        inner = state.copy()
        is_filtered = self._clause(node.for_in, inner)
        element = self.evaluate(node.elt, inner)
        empty = Evidence(Confidence.LIKELY, "a list from which everything was filtered out") if is_filtered else None
        return Value(kind=SEQUENCE, empty=empty, made=Made("list", node, (element,)))

    def _dict_comprehension(self, node: cst.DictComp, state: State) -> Value:
        inner = state.copy()
        self._clause(node.for_in, inner)
        self.evaluate(node.value, inner)
        return Value(kind=OTHER)

    def _clause(self, clause: cst.CompFor, state: State) -> bool:
        """Binds the variables of a comprehension; whether an `if` filters."""
        self.bind(clause.target, self.element_of(self.evaluate(clause.iter, state)), state)
        for condition in clause.ifs:
            state.learn(effects(self.evaluate(condition.test, state), is_met=True))
        inner = clause.inner_for_in
        return bool(clause.ifs) | (self._clause(inner, state) if inner is not None else False)

    def element_of(self, iterated: Value) -> Value:
        """What a loop over a value goes through."""
        if iterated.items:
            result = iterated.items[0]
            for item in iterated.items[1:]:
                result = join(result, item)
            return dataclasses.replace(result, number=self.numbers.fresh()) if len(iterated.items) > 1 else result
        made = iterated.made
        if made is not None and made.operation == "list" and made.inputs:
            return dataclasses.replace(made.inputs[0], number=self.numbers.fresh())
        if iterated.kind == SEQUENCE and iterated.is_count:
            return Value(0.0, INFINITY, kind=NUMBER, is_count=True, has_gradient=False)
        if iterated.kind == TENSOR:
            return dataclasses.replace(iterated, number=self.numbers.fresh(), root=0, made=None)
        return Value()

    def bind(self, target: cst.BaseExpression, value: Value, state: State) -> None:
        """Gives a target of an assignment its value."""
        raise NotImplementedError

    def bind_parameters(self, parameters: cst.Parameters, state: State) -> None:
        """Gives parameters what their defaults, annotations and names say."""
        raise NotImplementedError

    # Indexing

    def _subscript(self, node: cst.Subscript, state: State) -> Value:
        owner = self.evaluate(node.value, state)
        parts = [element.slice for element in node.slice]
        key: list[object] = []
        mask: Value | None = None
        index: Value | None = None
        for part in parts:
            if isinstance(part, cst.Index):
                value = self.evaluate(part.value, state)
                key.append(value.number)
                if _is_mask(value):
                    mask = value
                index = value
            elif isinstance(part, cst.Slice):
                bounds = (part.lower, part.upper, part.step)
                key += [self.evaluate(bound, state).number if bound is not None else None for bound in bounds]
                key.append(":")
        number = self.numbers.of(("item", owner.number, *key))
        if (
            owner.items is not None
            and len(parts) == 1
            and index is not None
            and index.is_constant
            and index.low == int(index.low)
        ):
            position = int(index.low)
            if -len(owner.items) <= position < len(owner.items):
                return owner.items[position]
        if owner.kind == SEQUENCE and owner.is_count:
            return Value(0.0, INFINITY, kind=NUMBER, is_count=True, has_gradient=False, number=number, made=owner.made)
        if (
            owner.made is not None
            and owner.made.operation in ("max", "min")
            and index is not None
            and index.is_constant
        ):
            # `x.max(dim)[0]`
            return owner if index.low == 0 else Value(dtype="int64", kind=TENSOR, has_gradient=False)
        if owner.kind in (OTHER, SEQUENCE):
            return self._keyed(node, owner, number)
        if owner.kind == UNKNOWN_KIND and owner.is_unknown and len(parts) == 1 and mask is None:
            keyed = self._keyed(node, owner, number)
            if not keyed.is_unknown:
                return keyed
        result = dataclasses.replace(
            owner, number=number, root=number, is_count=owner.is_count and owner.kind == TENSOR
        )
        if mask is not None:
            return self._selected(node, owner, mask, result, state)
        if owner.kind == NUMBER:
            result.kind = UNKNOWN_KIND
        return result

    def _keyed(self, node: cst.Subscript, owner: Value, number: int) -> Value:
        """`batch["mask"]`: what the key says."""
        element = self.element_of(owner) if owner.kind == SEQUENCE else Value()
        if not element.is_unknown:
            return dataclasses.replace(element, number=number, root=number)
        match node.slice:
            case [cst.SubscriptElement(slice=cst.Index(value=cst.SimpleString() as text))]:
                key = text.evaluated_value
                found = value_named(key) if isinstance(key, str) else None
                if found is not None:
                    found.number = found.root = number
                    return found
        return Value(number=number)

    def _selected(self, node: cst.Subscript, owner: Value, mask: Value, result: Value, state: State) -> Value:
        """`x[mask]`: fewer elements, perhaps none."""
        known = effects(mask, is_met=True)
        self.recorder.mask(owner, Mask(node, "index", known.bounds))
        inner = state.copy()
        inner.learn(known)
        if owner.number in known.bounds:
            refined = inner.refined(owner)
            result = dataclasses.replace(refined, number=result.number, root=result.number)
        if mask.root not in state.nonempty:
            result.empty = Evidence(Confidence.LIKELY, "a mask that selects nothing")
            result.made = Made("masked_select", node, (owner, mask))
        return result

    # Calls

    def _call(self, node: cst.Call, state: State) -> Value:
        operation = self.calls.operation(node)
        if operation is not None:
            return self._operation(node, operation, state)
        function = node.func
        resolved = self.names.resolve(function)
        if resolved is not None:
            found = self._known_function(node, resolved, state)
            if found is not None:
                return found
        if isinstance(function, cst.Name) and function.value in BUILTIN_NAMES and function.value not in state.names:
            arguments = [self.evaluate(argument.value, state) for argument in node.args]
            return self._builtin(function.value, node, arguments)
        callee = self._callee(function, state)
        arguments = [self.evaluate(argument.value, state) for argument in node.args]
        if callee is not None and callee.made is not None and callee.kind == OTHER:
            applied = self.applier.apply_module(callee, node, arguments, state)
            if applied is not None:
                return applied
        result = self.call_local(node, arguments, state)
        if result is not None:
            return result
        name = _last_name(function)
        return value_named(name) or Value(made=Made("call", node, tuple(arguments)))

    def _callee(self, function: cst.BaseExpression, state: State) -> Value | None:
        """What is called, where that is a value of its own: `act(x)`, `self.act(x)`, `nn.Sigmoid()(x)`."""
        if isinstance(function, cst.Name):
            return state.names.get(function.value) or self.global_value(function.value, function)
        if isinstance(function, cst.Attribute):
            path = _path(function)
            if path is not None and path.startswith("self.") and path.count(".") == 1:
                return self._attribute(function, state)
            self.evaluate(function.value, state)
            return None
        return self.evaluate(function, state)

    def _builtin(self, name: str, node: cst.Call, arguments: list[Value]) -> Value:
        result = BUILTINS[name](node, arguments)
        return self.numbers.numbered(result, (name, *(value.number for value in arguments)))

    def _known_function(self, node: cst.Call, path: str, state: State) -> Value | None:
        """The result of a function of torch or of the standard library that is no row of the table."""
        root = path.partition(".")[0]
        if path in ("torch.finfo", "numpy.finfo"):
            dtype = self.evaluate(node.args[0].value, state) if node.args else UNKNOWN
            return Value(kind=OTHER, dtype=dtype.dtype, made=Made("finfo", node, (dtype,)))
        if path in MODULES:
            inputs = tuple(self.evaluate(argument.value, state) for argument in node.args)
            return Value(kind=OTHER, made=Made(path, node, inputs))
        if path == "torch.nn.Parameter":
            for argument in node.args:
                self.evaluate(argument.value, state)
            return Value(kind=TENSOR, made=Made("parameter", node, ()))
        if path == SEQUENTIAL:
            items = tuple(self.evaluate(argument.value, state) for argument in node.args if not argument.star)
            return Value(kind=OTHER, made=Made(path, node, items), items=items)
        if root == "math" and path.removeprefix("math.") in BUILTINS:
            arguments = [self.evaluate(argument.value, state) for argument in node.args]
            return self._builtin(path.removeprefix("math."), node, arguments)
        if root in ("numpy", "math"):
            for argument in node.args:
                self.evaluate(argument.value, state)
            return Value(kind=OTHER if root == "numpy" else NUMBER, has_gradient=False)
        return None

    def call_local(self, node: cst.Call, arguments: list[Value], state: State) -> Value | None:
        """The result of a function or method of this file; None where it is not followed."""
        return None

    def _operation(self, node: cst.Call, operation: Operation, state: State) -> Value:
        if operation.name == "where" and {"condition", "input", "other"} <= operation.operands.keys():
            return self._where(node, operation, state)
        values: dict[str, Value] = {}
        for name, argument in operation.operands.items():
            values[name] = self.evaluate(argument, state)
        rest = tuple(self.evaluate(argument, state) for argument in operation.rest)
        name = operation.name
        if name == "masked_select" and "mask" in values:
            known = effects(values["mask"], is_met=True)
            self.recorder.mask(values["input"], Mask(node, "index", known.bounds))
            inner = state.copy()
            inner.learn(known)
            values["input"] = inner.refined(values["input"])
        elif name == "masked_fill" and "mask" in values:
            known = effects(values["mask"], is_met=False)
            self.recorder.mask(values["input"], Mask(node, "masked_fill", known.bounds))
            inner = state.copy()
            inner.learn(known)
            values["input"] = inner.refined(values["input"])
        elif name == "nan_to_num":
            self.recorder.mask(values.get("input", UNKNOWN), Mask(node, "nan_to_num", {}))
        result = self.applier.apply(Use(name, node, operation.operands, values, rest), state)
        if result.kind == UNKNOWN_KIND:
            result.kind = TENSOR
        if operation.is_inplace and isinstance(node.func, cst.Attribute):
            self.bind(node.func.value, dataclasses.replace(result, number=self.numbers.fresh(), root=0), state)
        return result

    def _where(self, node: cst.Call, operation: Operation, state: State) -> Value:
        """`torch.where`: each branch is evaluated with what the condition says there."""
        operands = operation.operands
        condition = self.evaluate(operands["condition"], state)
        values = {"condition": condition}
        for name, is_met in (("input", True), ("other", False)):
            known = effects(condition, is_met=is_met)
            branch = state.copy()
            branch.learn(known)
            if known.bounds and not isinstance(operands[name], cst.Name | cst.BaseNumber):
                with self.recorder.unguarded():
                    self.evaluate(operands[name], state)
                values[name] = self.evaluate(operands[name], branch)
            else:
                values[name] = self.evaluate(operands[name], branch)
                self.recorder.mask(values[name], Mask(node, "where", known.bounds))
        return self.applier.apply(Use("where", node, operands, values), state)


def _is_mask(value: Value) -> bool:
    """Whether an index selects by a condition."""
    return value.kind != NUMBER and value.dtype == "bool" and not value.is_constant


def _path(node: cst.BaseExpression) -> str | None:
    """`self.a.b` as text; None for what is more than names and dots."""
    parts: list[str] = []
    while isinstance(node, cst.Attribute):
        parts.append(node.attr.value)
        node = node.value
    if not isinstance(node, cst.Name):
        return None
    return ".".join([node.value, *reversed(parts)])


def _last_name(function: cst.BaseExpression) -> str:
    if isinstance(function, cst.Attribute):
        return function.attr.value
    return function.value if isinstance(function, cst.Name) else ""
