"""Calls as operations of torch: one name and named operands, however the call is spelled.

`torch.log(x)`, `x.log()`, `x.log_()`, `torch.Tensor.log(x)` and `ln(x)` after `from torch import log as ln` are the
operation `log` with the operand `input=x`. A call whose arguments cannot be bound for certain (`*args`, `**kwargs`, a
parameter that torch does not have) is no operation of which anything may be said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts import torch_api
from pipeline_lint.facts.code.names import Names
from pipeline_lint.source import Source

_KEYWORD_SYNONYMS: Mapping[str, str] = {
    "axis": "dim",
    "axis0": "dim0",
    "axis1": "dim1",
    "keepdims": "keepdim",
    "x": "input",
    "a": "input",
    "x1": "input",
    "x2": "other",
}
"""What torch takes besides its own names, for numpy's sake."""

_FIRST_SYNONYMS = frozenset({"self", "tensor", "A", "dividend"})
_PACKAGES_WITHOUT_TENSORS = """
builtins collections copy cupy cv2 datetime functools itertools jax json logging math matplotlib mlflow numpy os pandas
pathlib PIL polars random re scipy shutil sklearn statistics string sys tensorflow time tqdm typing wandb
"""
NO_TENSOR_PACKAGES = frozenset(_PACKAGES_WITHOUT_TENSORS.split())
_NO_TENSOR_NAMES = frozenset(
    {"experiment", "logger", "logging", "math", "mlflow", "np", "numpy", "pd", "tb", "wandb", "writer"}
)
_SELF_NAMES = frozenset({"self", "cls"})
_LEAVES_TORCH = frozenset({"numpy", "tolist", "item", "size", "numel", "keys", "values", "items"})
"""Methods of a tensor that give something else."""
_TAKES_STRINGS = frozenset({"norm", "to", "div", "scatter"})


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """A call of a function or method of torch."""

    name: str
    """One name for all spellings: `torch.special.expit` and `x.sigmoid_()` are `sigmoid`."""
    call: cst.Call
    operands: Mapping[str, cst.BaseExpression]
    """Arguments by torch's parameter names; a method's receiver is `input`, like a function's first."""
    rest: tuple[cst.BaseExpression, ...] = ()
    """Further positional arguments of a parameter such as `*dims`, the first one included."""
    is_method: bool = False
    is_inplace: bool = False
    path: str = ""
    """Canonical path of what is called; for a method that of `torch.Tensor`'s."""

    @property
    def input(self) -> cst.BaseExpression | None:
        """What the operation is applied to."""
        return self.operands.get("input")


class Calls:
    """The operations of one file; ask for it by `source.fact(Calls)`."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._names = source.fact(Names)
        self._operations: dict[int, Operation | None] = {}

    def operation(self, expression: cst.CSTNode) -> Operation | None:
        """The operation that a call is; None for other nodes and calls, and where arguments are not certain."""
        if not isinstance(expression, cst.Call):
            return None
        key = id(expression)
        if key not in self._operations:
            self._operations[key] = self._read(expression)
        return self._operations[key]

    def operations(self, *names: str) -> list[Operation]:
        """All operations of these names in the file, in the order of the text."""
        found = (self.operation(call) for call in self.source.nodes(cst.Call))
        return [operation for operation in found if operation is not None and (not names or operation.name in names)]

    def _read(self, call: cst.Call) -> Operation | None:
        function = call.func
        path = self._names.resolve(function)
        if path is not None:
            return _from_function(call, path) if path.startswith("torch.") else None
        if not isinstance(function, cst.Attribute):
            return None
        name = function.attr.value
        is_inplace = name.endswith("_") and not name.endswith("__")
        known = torch_api.signatures("torch.Tensor")
        signature = known.get(name) or (known.get(name[:-1]) if is_inplace else None)
        if (
            signature is None
            or not self._may_be_tensor(function.value)
            or _discards_result(self.source, call, is_inplace)
        ):
            return None
        bound = _bind(signature, call.args, function.value)
        if bound is None or (name not in _TAKES_STRINGS and any(map(_is_text, bound[0].values()))):
            return None
        base = name[:-1] if is_inplace else name
        canonical = torch_api.operation_name("torch.Tensor", base)
        return Operation(canonical, call, *bound, is_method=True, is_inplace=is_inplace, path=f"torch.Tensor.{name}")

    def _may_be_tensor(self, receiver: cst.BaseExpression) -> bool:
        """Whether nothing shows that a method's receiver is something else than a tensor."""
        node = receiver
        while True:
            match node:
                case cst.Name(value=name) if name in _NO_TENSOR_NAMES or (name in _SELF_NAMES and node is receiver):
                    return False
                case cst.Attribute(attr=cst.Name(value=name)) if name in _NO_TENSOR_NAMES:
                    return False
                case cst.Call(func=cst.Attribute(attr=cst.Name(value=name))) if name in _LEAVES_TORCH:
                    return False
                case cst.Call(func=cst.Name(value="super" | "str" | "len" | "int" | "float" | "set" | "dict" | "list")):
                    return False
            if isinstance(node, cst.Name | cst.Attribute):
                path = self._names.resolve(node)
                if path is not None:
                    return _may_name_tensor(path, is_called=node is not receiver)
            match node:
                case (
                    cst.Attribute(value=inner)
                    | cst.Subscript(value=inner)
                    | cst.Call(func=inner)
                    | cst.Await(expression=inner)
                ):
                    node = inner
                case cst.Name() | cst.BinaryOperation() | cst.UnaryOperation() | cst.IfExp() | cst.NamedExpr():
                    return True
                case cst.Comparison():
                    return True
                case _:
                    return False


def _may_name_tensor(path: str, *, is_called: bool) -> bool:
    root = path.lstrip(".").partition(".")[0]
    if root in NO_TENSOR_PACKAGES:
        return False
    return is_called or path.rpartition(".")[2].isupper()


def _from_function(call: cst.Call, path: str) -> Operation | None:
    namespace, _, name = path.rpartition(".")
    signature = torch_api.signatures(namespace).get(name)
    base = name
    if signature is None and name.endswith("_"):
        base = name[:-1]
        signature = torch_api.signatures(namespace).get(base)
    if signature is None:
        return None
    bound = _bind(signature, call.args, None)
    if bound is None:
        return None
    is_inplace = name.endswith("_") or _is_true(bound[0].get("inplace"))
    base = base.removesuffix("_") if is_inplace else base
    canonical = torch_api.operation_name(namespace, base)
    return Operation(canonical, call, *bound, is_method=False, is_inplace=is_inplace, path=path)


def _bind(
    signature: torch_api.Signature, arguments: object, receiver: cst.BaseExpression | None
) -> tuple[dict[str, cst.BaseExpression], tuple[cst.BaseExpression, ...]] | None:
    """Operands by parameter; None when an argument has no certain place."""
    values: list[cst.BaseExpression] = [] if receiver is None else [receiver]
    operands: dict[str, cst.BaseExpression] = {}
    assert isinstance(arguments, list | tuple)
    for argument in arguments:
        if argument.star:
            return None
        if argument.keyword is None:
            values.append(argument.value)
            continue
        name = _parameter(argument.keyword.value, signature)
        if name is None or name in operands:
            return None
        operands[name] = argument.value
    num_bound = len(signature.positional)
    if len(values) > num_bound and signature.rest is None:
        return None
    for name, value in zip(signature.positional, values, strict=False):
        if name in operands:
            return None
        operands[name] = value
    rest = tuple(values[num_bound:])
    if rest and signature.rest is not None:
        if signature.rest in operands:
            return None
        operands[signature.rest] = rest[0]
    return operands, rest


def _parameter(keyword: str, signature: torch_api.Signature) -> str | None:
    """The table's name of a keyword; None when the operation has no such parameter."""
    known = signature.keywords
    if keyword in known or keyword == signature.rest:
        return keyword
    synonym = _KEYWORD_SYNONYMS.get(keyword)
    if synonym in known:
        return synonym
    return signature.positional[0] if keyword in _FIRST_SYNONYMS else None


def _discards_result(source: Source, call: cst.Call, is_inplace: bool) -> bool:
    """Whether a method stands as a statement of its own, as `seen.add(x)` does: then it is no tensor's."""
    return not is_inplace and isinstance(source.parent(call), cst.Expr)


def _is_text(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.BaseString)


def _is_true(node: cst.BaseExpression | None) -> bool:
    return isinstance(node, cst.Name) and node.value == "True"
