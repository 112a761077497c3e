"""One operation as the dispatcher hands it over: its tensors, what it writes to, and numbers written in the code."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from runtime_guard.device.finiteness import Level
from runtime_guard.incidents.incident import TensorSummary
from runtime_guard.replay.events import Site


@dataclass(slots=True)
class Operation:
    """One operation that is about to run, or has just run."""

    name: str
    overload: str
    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    site: Site
    tensors: list[Tensor] = field(init=False)
    levels: list[Level] = field(default_factory=list)
    summaries: list[TensorSummary] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tensors = [leaf for leaf in tree_leaves(self.arguments) if isinstance(leaf, Tensor)]


def written_arguments(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The arguments that an in-place or out= operation writes to."""
    schema = getattr(func, "_schema", None)
    if schema is None or not schema.is_mutable:
        return []
    found: list[Tensor] = []
    for index, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[index] if index < len(args) else kwargs.get(argument.name)
            found.extend(leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))
    return found


def literal_level(arguments: Any) -> Level:
    """The level of the Python numbers among the arguments: masked_fill(mask, -inf) is no birth."""
    level = Level.FINITE
    for leaf in tree_leaves(arguments):
        if isinstance(leaf, float) and not math.isfinite(leaf):
            level = max(level, Level.NAN if math.isnan(leaf) else Level.INF)
    return level


def forward_name(node: str) -> str:
    """`SqrtBackward0` is the backward of `sqrt`; empty for nodes that are not named after an operation."""
    base, separator, _ = node.partition("Backward")
    if not separator or not base:
        return ""
    if node.endswith("Backward"):  # A custom Function keeps its class's name.
        return base
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in base)
    return words.lstrip("_")
