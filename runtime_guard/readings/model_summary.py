"""A model's modules, shapes and sizes, as a Markdown table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn
from torch.nn.parameter import is_lazy

from runtime_guard.state import join_name

_MAX_ROWS = 200


def model_summary(models: Mapping[str, nn.Module]) -> str:
    """One row for each module that has parameters of its own; at most 200, and then the sums."""
    rows = [row for name, model in models.items() for row in _rows(name, model)]
    parameters = {id(p): p for model in models.values() for p in model.parameters() if not is_lazy(p)}.values()
    buffers = {id(b): b for model in models.values() for b in model.buffers() if not is_lazy(b)}.values()
    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in (*parameters, *buffers))
    lines = ["| module | kind | shapes | parameters | trained |", "|---|---|---|---:|---:|", *rows[:_MAX_ROWS]]
    if len(rows) > _MAX_ROWS:
        lines.append(f"| and {len(rows) - _MAX_ROWS} more | | | | |")
    total, trained = _numel(parameters), _numel(p for p in parameters if p.requires_grad)
    lines.append(f"| **all** | | | {total:,} | {trained:,} |")
    lines += ["", f"{num_bytes / 2**20:,.1f} MiB of parameters and buffers. What modules share is counted once."]
    return "\n".join(lines)


def _rows(prefix: str, model: nn.Module) -> Iterator[str]:
    for name, module in model.named_modules():
        own = [p for p in module.parameters(recurse=False) if not is_lazy(p)]
        if own:
            shapes = ", ".join("×".join(map(str, p.shape)) or "scalar" for p in own)
            trained = _numel(p for p in own if p.requires_grad)
            kind = type(module).__name__
            yield f"| `{join_name(prefix, name) or 'model'}` | {kind} | {shapes} | {_numel(own):,} | {trained:,} |"


def _numel(parameters: object) -> int:
    return sum(p.numel() for p in parameters)  # type: ignore[attr-defined]
