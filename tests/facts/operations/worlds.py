"""One call, read by torch and by the table: what torch gives, and what the table says of it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import libcst as cst
import torch

from pipeline_lint.facts import torch_api
from pipeline_lint.facts.operations import Row
from pipeline_lint.facts.ranges.numbering import Numbers
from pipeline_lint.facts.ranges.value import OTHER, SEQUENCE, Operands, Value, constant
from tests.facts.operations.torch_calls import LINES, UNCHECKED, Line

DTYPES = ("float64", "float32", "bfloat16", "float16", "int64", "bool")
_NODE = cst.Name("call")
RANDOM = frozenset(
    """rand rand_like randn randn_like uniform normal bernoulli multinomial dropout dropout1d dropout2d dropout3d
    alpha_dropout feature_alpha_dropout randint randint_like randperm empty empty_like new_empty gumbel_softmax
    """.split()
)
"""Operations that give something else each time, or nothing in particular."""
_FALLBACK = torch_api.Signature(("input", "other"), frozenset(), None)


class Function(NamedTuple):
    """A function of torch and how its arguments are bound."""

    function: Callable[..., Any]
    signature: torch_api.Signature


@functools.cache
def function_named(name: str) -> Function:
    """The function of torch that a row is about."""
    found: Function | None = None
    for namespace in torch_api.NAMESPACES:
        owner: Any = torch
        for part in namespace.split(".")[1:]:
            owner = getattr(owner, part)
        for spelled, signature in torch_api.signatures(namespace).items():
            if torch_api.operation_name(namespace, spelled) == name and (found is None or spelled == name):
                found = Function(getattr(owner, spelled), signature)
                if spelled == name:
                    return found
    if found is not None:
        return found
    if name == "alias":
        return Function(lambda value: value, _FALLBACK)
    return Function(getattr(torch, name), _FALLBACK)


def all_lines(rows: Mapping[str, Row]) -> list[Line]:
    """The lines of all rows: those that are written out, and `name(x)` or `name(x, y)` for the others."""
    listed = {line.name for line in LINES}
    found = list(LINES)
    for name in sorted(rows):
        if name not in listed and name not in UNCHECKED:
            positional = function_named(name).signature.positional
            found.append(Line(f"{name}(x, y)" if positional[1:2] == ("other",) else f"{name}(x)", "elementwise"))
    return found


def bound(name: str, arguments: list[Any], keywords: dict[str, Any]) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Arguments by parameter, and those of a rest such as `*dims`."""
    signature = function_named(name).signature
    values = dict(zip(signature.positional, arguments, strict=False)) | keywords
    rest = tuple(arguments[len(signature.positional) :])
    if rest and signature.rest is not None:
        values[signature.rest] = rest[0]
    return values, rest


@functools.cache
def _parsed(code: str) -> ast.expr:
    return ast.parse(code, mode="eval").body


class Step(NamedTuple):
    """One operation of a line: its operands as torch's tensors, or as values of the table."""

    name: str
    operands: Mapping[str, Any]
    rest: tuple[Any, ...]


@dataclass
class World:
    """Evaluates lines; what differs between torch and the table are constants and calls."""

    names: dict[str, Any]
    dtype: str
    steps: list[Step] = field(default_factory=list)

    def evaluate(self, code: str) -> Any:
        """The value of a line."""
        return self._value(_parsed(code))

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return self.constant(value)
            case ast.UnaryOp() | ast.BinOp():
                return self.constant(
                    ast.literal_eval(ast.unparse(node)) if isinstance(node, ast.UnaryOp) else _sum(node)
                )
            case ast.Name(id=name):
                if name in DTYPES:
                    return self.dtype_named(name)
                return (
                    self.constant(torch.finfo(getattr(torch, self.dtype)).min)
                    if name == "finfo_min"
                    else self.names[name]
                )
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return self.sequence([self._value(element) for element in elements])
            case ast.Subscript(value=value, slice=ast.Constant(value=int(position))):
                return self.item(self._value(value), position)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords):
                values = [self._value(argument) for argument in arguments]
                named = {str(keyword.arg): self._value(keyword.value) for keyword in keywords}
                return self.call(name, values, named)
        raise AssertionError(ast.dump(node))

    def constant(self, value: object) -> Any:
        raise NotImplementedError

    def dtype_named(self, name: str) -> Any:
        raise NotImplementedError

    def sequence(self, items: list[Any]) -> Any:
        raise NotImplementedError

    def item(self, value: Any, position: int) -> Any:
        raise NotImplementedError

    def call(self, name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        raise NotImplementedError


class Torch(World):
    """What torch computes."""

    def constant(self, value: object) -> Any:
        return value

    def dtype_named(self, name: str) -> Any:
        return getattr(torch, name)

    def sequence(self, items: list[Any]) -> Any:
        return items if any(isinstance(item, torch.Tensor) for item in items) else tuple(items)

    def item(self, value: Any, position: int) -> Any:
        return value[position]

    def call(self, name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        values, rest = bound(name, arguments, keywords)
        # In-place operations change what they are given.
        kept = {key: value.detach().clone() if name.endswith("_") and isinstance(value, torch.Tensor) else value
                for key, value in values.items()}  # fmt: skip
        self.steps.append(Step(name.removesuffix("_"), kept, rest))
        if name in ("zeros", "ones", "eye", "randn") and "dtype" not in keywords:
            keywords = keywords | {"dtype": getattr(torch, self.dtype)}
        return function_named(name).function(*arguments, **keywords)


class Table(World):
    """What the table says."""

    def __init__(self, rows: Mapping[str, Row], names: dict[str, Any], dtype: str) -> None:
        super().__init__(names, dtype)
        self.rows = rows
        self.numbers = Numbers()

    def operands(self, name: str, **values: Any) -> Operands:
        """Operands by the names of parameters; `x` is the first."""
        values = {"input" if key == "x" else key: value for key, value in values.items()}
        return Operands(_NODE, values)

    def constant(self, value: object) -> Any:
        if isinstance(value, bool):
            return constant(float(value), dtype="bool")
        if isinstance(value, int | float):
            return constant(float(value), dtype="int64" if isinstance(value, int) else None)
        return Value(kind=OTHER)

    def dtype_named(self, name: str) -> Any:
        return Value(kind=OTHER, dtype=name)

    def sequence(self, items: list[Any]) -> Any:
        return Value(kind=SEQUENCE, items=tuple(items))

    def item(self, value: Any, position: int) -> Any:
        return value.items[position]

    def call(self, name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        values, rest = bound(name, arguments, keywords)
        name = name.removesuffix("_")
        self.steps.append(Step(name, values, rest))
        result = self.rows[name].transfer(Operands(_NODE, values, rest))
        # As the interpreter does it: what is computed twice in the same way is the same.
        key = (name, *(value.number for value in values.values()), *(value.number for value in rest), *sorted(values))
        if self.rows[name].keeps_values and "input" in values:
            result = result.but(number=self.numbers.of(key), root=values["input"].root)
        elif name not in RANDOM:
            result = self.numbers.numbered(result.but(number=0, root=0), key)
        if name in ("zeros", "ones", "eye", "randn") and result.dtype is None:
            result = result.but(dtype=self.dtype)
        return result


def _sum(node: ast.expr) -> float:
    """`1 - 1e-7`, which Python computes before torch sees it."""
    assert isinstance(node, ast.BinOp)
    left, right = ast.literal_eval(node.left), ast.literal_eval(node.right)
    return left + right if isinstance(node.op, ast.Add) else left - right  # type: ignore[no-any-return]
