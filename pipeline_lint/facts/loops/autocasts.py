"""Where autocast is on, in which dtype and for which device."""

from __future__ import annotations

from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.names import Names
from pipeline_lint.source import Source

_AUTOCASTS = {
    "torch.autocast": "",
    "torch.amp.autocast": "",
    "torch.cuda.amp.autocast": "cuda",
    "torch.cpu.amp.autocast": "cpu",
}
_FLOAT16 = frozenset({"torch.float16", "torch.half"})
_POSITIONS = {"": ("device_type", "dtype", "enabled"), "cuda": ("enabled", "dtype"), "cpu": ("enabled", "dtype")}


@dataclass(frozen=True, slots=True, eq=False)
class Autocast:
    """A call that makes an autocast context or decorator."""

    call: cst.Call
    device: str
    """`cuda`, `cpu`; empty where it is computed."""
    dtype: str
    """`float16`, `bfloat16`; empty where it is computed."""
    enabled: cst.BaseExpression | None
    """None where it is on for certain."""
    block: cst.With | cst.FunctionDef | None
    """What it is on for; None where that is not plain."""

    @property
    def is_off(self) -> bool:
        return isinstance(self.enabled, cst.Name) and self.enabled.value == "False"


class Autocasts:
    """The autocasts of one file: `source.fact(Autocasts)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names = source.fact(Names)
        self.all: tuple[Autocast, ...] = ()
        if "autocast" in source.text:
            found = (self._read(call) for call in source.nodes(cst.Call))
            self.all = tuple(each for each in found if each is not None)
        self._by_block = {id(each.block): each for each in self.all if each.block is not None}

    def around(self, node: cst.CSTNode) -> Autocast | None:
        """The innermost autocast that a node of a function is evaluated under, as far as its own function shows."""
        for above in self._source.ancestors(node):
            found = self._by_block.get(id(above))
            if found is not None:
                return found
            if isinstance(above, cst.FunctionDef | cst.Lambda):
                return None
        return None

    def _read(self, call: cst.Call) -> Autocast | None:
        path = self._names.resolve(call.func)
        if path not in _AUTOCASTS:
            return None
        arguments = self._arguments(call, _POSITIONS[_AUTOCASTS[path]])
        device = _AUTOCASTS[path] or _text(arguments.get("device_type"))
        dtype = arguments.get("dtype")
        name = {"cuda": "float16", "cpu": "bfloat16"}.get(device, "") if dtype is None else self._dtype(dtype)
        enabled = arguments.get("enabled")
        if isinstance(enabled, cst.Name) and enabled.value == "True":
            enabled = None
        return Autocast(call, device, name, enabled, self._block(call))

    def _block(self, call: cst.Call) -> cst.With | cst.FunctionDef | None:
        above = self._source.parent(call)
        if isinstance(above, cst.WithItem):
            block = self._source.parent(above)
            return block if isinstance(block, cst.With) else None
        if isinstance(above, cst.Decorator):
            function = self._source.parent(above)
            return function if isinstance(function, cst.FunctionDef) else None
        return None

    def _arguments(self, call: cst.Call, positions: tuple[str, ...]) -> dict[str, cst.BaseExpression]:
        found: dict[str, cst.BaseExpression] = {}
        for index, argument in enumerate(call.args):
            if argument.keyword is not None:
                found[argument.keyword.value] = argument.value
            elif index < len(positions) and not argument.star:
                found[positions[index]] = argument.value
        return found

    def _dtype(self, node: cst.BaseExpression) -> str:
        path = self._names.resolve(node) or ""
        if path in _FLOAT16:
            return "float16"
        return "bfloat16" if path == "torch.bfloat16" else ""


def _text(node: cst.BaseExpression | None) -> str:
    if isinstance(node, cst.SimpleString):
        return str(node.evaluated_value).partition(":")[0]
    return ""
