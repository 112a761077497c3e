"""The kind of result an expression gives, as far as its function shows: a tuple of three, a dict, a tensor.

A variable is followed to what is assigned to it; where assignments disagree, or a parameter, a loop or an unpacking
gives it its value, its kind is unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.branches import parameter_names
from pipeline_lint.facts.code.calls import Calls, Operation
from pipeline_lint.facts.code.names import dotted_name
from pipeline_lint.source import Source

_GROWING_METHODS = frozenset({"append", "clear", "extend", "insert", "pop", "remove", "setdefault", "update"})
_SEVERAL_RESULTS = frozenset(
    {"chunk", "max", "median", "min", "nanmedian", "slogdet", "sort", "split", "std_mean", "topk", "unbind", "var_mean"}
)
"""Operations that may give a tuple; all others of the table give a tensor or a number."""
_NO_TENSOR_RESULTS = frozenset({"item", "numel", "tolist", "numpy"})
_DEEPEST = 4
_MOST_VALUES = 100


@dataclass(frozen=True, slots=True)
class Shape:
    """What an expression gives."""

    kind: str
    """`tuple`, `list`, `sequence` (of a number of values that the code does not say), `dict`, `value` (a tensor or a
    number), `none`, or `unknown`."""
    num_values: int = 0
    """Of a tuple or list; the fewest where `is_exact` is false."""
    is_exact: bool = True
    keys: frozenset[str] | None = None
    """Of a dict whose keys are all written there."""
    name: str | None = None
    """The variable that is given back."""

    def __str__(self) -> str:
        match self.kind:
            case "tuple" | "list":
                count = f"{self.num_values}" if self.is_exact else f"at least {self.num_values}"
                return f"a {self.kind} of {count}"
            case "dict" if self.keys is not None:
                return "a dict with " + (", ".join(f"`{key}`" for key in sorted(self.keys)) or "no keys")
            case "sequence":
                return "a sequence"
            case "none":
                return "nothing"
            case "dict":
                return "a dict"
            case _:
                return "a single value" if self.name is None else f"`{self.name}`"


UNKNOWN = Shape("unknown")
Values = tuple[cst.BaseExpression, ...]


class Shapes:
    """Shapes of the expressions of one file; ask for it by `source.fact(Shapes)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._calls = source.fact(Calls)
        self._variables: dict[int, dict[str, list[cst.BaseExpression | None]]] | None = None
        self._growing: dict[int, dict[str, list[cst.Call]]] | None = None

    def of(self, node: cst.BaseExpression, function: cst.FunctionDef, depth: int = 0) -> tuple[Shape, Values]:
        """The shape of an expression of `function`, and the values that a tuple or list is written with."""
        match node:
            case cst.Tuple(elements=elements) | cst.List(elements=elements):
                starred = any(isinstance(element, cst.StarredElement) for element in elements)
                kind = "tuple" if isinstance(node, cst.Tuple) else "list"
                return Shape(kind, len(elements), is_exact=not starred), tuple(element.value for element in elements)
            case cst.Dict():
                return Shape("dict", keys=_literal_keys(node)), ()
            case cst.Name(value="None"):
                return Shape("none"), ()
            case cst.Name(value=name):
                return self._of_variable(name, function, depth)
            case cst.ListComp() | cst.GeneratorExp() | cst.SetComp():
                return Shape("sequence"), ()
            case cst.DictComp():
                return Shape("dict"), ()
            case cst.BinaryOperation(operator=cst.Add()):
                return self._of_sum(node, function, depth)
            case cst.BinaryOperation(operator=cst.Multiply()):
                return self._of_product(node, function, depth)
            case cst.BinaryOperation() | cst.UnaryOperation() | cst.Comparison():
                return Shape("value"), ()
            case cst.BaseNumber() | cst.BaseString():
                return Shape("value"), ()
            case cst.Call():
                return self._of_call(node), ()
        return UNKNOWN, ()

    def samples(self, node: cst.BaseExpression, function: cst.FunctionDef) -> Iterator[cst.BaseExpression]:
        """The elements of a list that a method builds sample by sample: by a comprehension, or by `append`."""
        match node:
            case cst.ListComp(elt=element) | cst.GeneratorExp(elt=element):
                yield element
            case cst.Name(value=name):
                for value in self._assigned(function).get(name, []):
                    if isinstance(value, cst.ListComp):
                        yield value.elt
                for call in self._grown(function).get(name, []):
                    if isinstance(call.func, cst.Attribute) and call.func.attr.value == "append":
                        yield from (argument.value for argument in call.args)

    def maker(self, node: cst.BaseExpression, function: cst.FunctionDef) -> str:
        """What looks like a class whose call the expression is, directly or through a variable; else nothing."""
        values: list[cst.BaseExpression | None] = [node]
        if isinstance(node, cst.Name):
            values = self._assigned(function).get(node.value, [])
        names = {dotted_name(value.func).rpartition(".")[2] if isinstance(value, cst.Call) else "" for value in values}
        return next((name for name in names if name[:1].isupper()), "") if len(names) == 1 else ""

    def _of_variable(self, name: str, function: cst.FunctionDef, depth: int) -> tuple[Shape, Values]:
        unknown = Shape("unknown", name=name), ()
        values = self._assigned(function).get(name, [])
        if not values or depth > _DEEPEST or name in parameter_names(function):
            return unknown
        found = [(UNKNOWN, ()) if value is None else self.of(value, function, depth + 1) for value in values]
        kinds = {shape.kind for shape, _ in found}
        if len(kinds) != 1 or kinds == {"unknown"}:
            return unknown
        shape, written = found[-1]
        if name in self._grown(function):
            return Shape("dict" if shape.kind == "dict" else "sequence", name=name), ()
        if len({(each.num_values, each.is_exact) for each, _ in found}) > 1:
            return Shape(shape.kind, min(each.num_values for each, _ in found), is_exact=False, name=name), written
        if shape.kind == "dict" and (len(values) > 1 or self._is_filled(name, function)):
            return Shape("dict", name=name), ()
        return Shape(shape.kind, shape.num_values, shape.is_exact, shape.keys, name), written

    def _of_sum(self, node: cst.BinaryOperation, function: cst.FunctionDef, depth: int) -> tuple[Shape, Values]:
        left, left_values = self.of(node.left, function, depth + 1)
        right, right_values = self.of(node.right, function, depth + 1)
        kinds = {left.kind, right.kind}
        for kind in ("tuple", "list"):
            if kind in kinds:
                is_exact = kinds == {kind} and left.is_exact and right.is_exact
                return Shape(kind, left.num_values + right.num_values, is_exact), left_values + right_values
        if "sequence" in kinds:
            return Shape("sequence"), ()
        # A name may hold a tuple, so the sum is a number or tensor only if a side shows it.
        return (Shape("value"), ()) if "value" in kinds else (UNKNOWN, ())

    def _of_product(self, node: cst.BinaryOperation, function: cst.FunctionDef, depth: int) -> tuple[Shape, Values]:
        """Of numbers and tensors a value; of a tuple or list so many times its values."""
        for side, times in ((node.left, node.right), (node.right, node.left)):
            shape, values = self.of(side, function, depth + 1)
            if shape.kind in ("tuple", "list", "sequence"):
                if not isinstance(times, cst.Integer) or shape.kind == "sequence":
                    return Shape("sequence"), ()
                count = int(times.evaluated_value)
                return Shape(shape.kind, shape.num_values * count, shape.is_exact), values * min(count, _MOST_VALUES)
        return Shape("value"), ()

    def _of_call(self, node: cst.Call) -> Shape:
        operation = self._calls.operation(node)
        if operation is not None:
            return Shape("value") if _gives_one(operation) else UNKNOWN
        match node:
            case cst.Call(func=cst.Name(value="dict"), args=arguments):
                keywords = [argument.keyword.value for argument in arguments if argument.keyword is not None]
                return Shape("dict", keys=frozenset(keywords) if len(keywords) == len(arguments) else None)
            case cst.Call(func=cst.Name(value="tuple" | "list" | "sorted")):
                return Shape("sequence")
            case cst.Call(func=cst.Name(value="float" | "int" | "len" | "str")):
                return Shape("value")
        return UNKNOWN

    def _assigned(self, function: cst.FunctionDef) -> dict[str, list[cst.BaseExpression | None]]:
        """What each variable of the function is assigned; None for what no expression alone gives."""
        if self._variables is None:
            self._variables = _variables(self._source)
        return self._variables.get(id(function), {})

    def _grown(self, function: cst.FunctionDef) -> dict[str, list[cst.Call]]:
        """Calls that change a list or dict in place, by variable."""
        if self._growing is None:
            self._growing = defaultdict(lambda: defaultdict(list))
            for call in self._source.nodes(cst.Call):
                match call.func:
                    case cst.Attribute(value=cst.Name(value=name), attr=cst.Name(value=method)):
                        if method in _GROWING_METHODS:
                            self._growing[id(self._source.function_of(call))][name].append(call)
        return self._growing.get(id(function), {})

    def _is_filled(self, name: str, function: cst.FunctionDef) -> bool:
        """Whether keys are added to a dict after it was written."""
        for target in self._source.nodes(cst.AssignTarget):
            match target.target:
                case cst.Subscript(value=cst.Name(value=variable)) if variable == name:
                    if self._source.function_of(target) is function:
                        return True
        return False


def _gives_one(operation: Operation) -> bool:
    if operation.name in ("max", "min", "median", "nanmedian"):
        return operation.operands.keys() == {"input"} or "other" in operation.operands
    return operation.name not in _SEVERAL_RESULTS and operation.name not in _NO_TENSOR_RESULTS


def _literal_keys(node: cst.Dict) -> frozenset[str] | None:
    keys = set()
    for element in node.elements:
        match element:
            case cst.DictElement(key=cst.SimpleString() as key) if isinstance(key.evaluated_value, str):
                keys.add(key.evaluated_value)
            case cst.DictElement(key=cst.Name() | cst.Attribute() as constant):
                keys.add(_constant_name(constant))
            case _:
                return None
    return frozenset(keys)


def _constant_name(node: cst.Name | cst.Attribute) -> str:
    return node.value if isinstance(node, cst.Name) else node.attr.value


def _variables(source: Source) -> dict[int, dict[str, list[cst.BaseExpression | None]]]:
    found: dict[int, dict[str, list[cst.BaseExpression | None]]] = defaultdict(lambda: defaultdict(list))
    for target in source.nodes(cst.AssignTarget):
        assign = source.parent(target)
        value = assign.value if isinstance(assign, cst.Assign) else None
        _note(found[id(source.function_of(target))], target.target, value)
    for annotated in source.nodes(cst.AnnAssign):
        if annotated.value is not None:
            _note(found[id(source.function_of(annotated))], annotated.target, annotated.value)
    for kind in (cst.AugAssign, cst.For, cst.CompFor, cst.NamedExpr):
        for node in source.nodes(kind):
            _note(found[id(source.function_of(node))], getattr(node, "target", node), None)
    for as_name in source.nodes(cst.AsName):
        _note(found[id(source.function_of(as_name))], as_name.name, None)
    return found


def _note(
    found: dict[str, list[cst.BaseExpression | None]], target: cst.CSTNode, value: cst.BaseExpression | None
) -> None:
    match target:
        case cst.Name(value=name):
            found[name].append(value)
        case cst.Tuple(elements=elements) | cst.List(elements=elements):
            for element in elements:
                _note(found, element.value, None)
