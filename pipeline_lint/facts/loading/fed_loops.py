"""Training loops on a GPU with what feeds them: where the device waits for data, or the program for the device."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.loading.generators import reached
from pipeline_lint.facts.loading.loaders import Loader, Loaders
from pipeline_lint.facts.loops.actions import Kind, frames_of
from pipeline_lint.facts.loops.traces import Traces
from pipeline_lint.source import Source

_GPU = re.compile(r"\.cuda\(|[\"']cuda|\bgpu\b", re.IGNORECASE)
_MOVED = re.compile(r"\.cuda\(|\.to\(")
_WORK = re.compile(
    r"imread|Image\.open|\bopen\(|\bnp\.load|torch\.load|h5py|librosa|soundfile|sf\.read|\.load\(|read_image|decode"
    r"|transform|augment|tokeniz|resize|crop",
    re.IGNORECASE,
)
_IN_MEMORY = re.compile(r"TensorDataset$|FakeData$|torch_geometric\.")
_OF_TORCH = frozenset({"torch.utils.data.DataLoader", "torch.utils.data.dataloader.DataLoader"})
_NUMBERS = frozenset({"arange", "range", "TensorDataset"})
_WAITS = frozenset({"cpu", "item", "numpy", "tolist"})


@dataclass(frozen=True, slots=True, eq=False)
class FedLoop:
    """A loop that trains on a GPU with the batches of a loader."""

    loop: cst.For
    loader: Loader | None
    """None where it is not in this file."""


def fed_loops(source: Source) -> Iterator[FedLoop]:
    """The innermost loops around a backward that move batches to a GPU."""
    if not _GPU.search(source.text):
        return
    traces, loaders = source.fact(Traces), source.fact(Loaders)
    seen: set[int] = set()
    for root in traces.outermost_loops():
        for each in traces.of(root):
            loop = each.loops[-1] if each.kind is Kind.BACKWARD and each.loops else None
            if isinstance(loop, cst.For) and id(loop) not in seen and _MOVED.search(source.code(loop)):
                seen.add(id(loop))
                yield FedLoop(loop, loaders.of_loop(loop))


def works_for_samples(source: Source, loader: Loader) -> bool | None:
    """Whether a dataset reads, decodes or transforms each sample; None where the file does not show it."""
    loaders = source.fact(Loaders)
    call = loaders.dataset_call(loader)
    path = (source.fact(Names).resolve(call.func) or "") if call is not None else ""
    if (
        _IN_MEMORY.search(path)
        or (call is not None and called_name(call) in _NUMBERS)
        or source.fact(Names).resolve(loader.call.func) not in _OF_TORCH
    ):
        return False
    if path.startswith("torchvision.datasets."):
        return True
    view = loaders.dataset_class(loader)
    entry = view.methods.get("__getitem__") if view is not None else None
    if view is None or entry is None:
        return None
    return any(_WORK.search(source.code(each)) for each in reached(source, view, entry))


def first_wait(source: Source, loop: cst.For) -> cst.Call | None:
    """The first call of a loop, outside of its branches, for which the program waits until the GPU is done."""
    for call in source.nodes(cst.Call):
        is_wait = isinstance(call.func, cst.Attribute) and called_name(call) in _WAITS and not call.args
        if not is_wait or loop not in source.ancestors(call):
            continue
        frames = frames_of(source, call)
        inside = frames[next((i for i, frame in enumerate(frames) if frame.node is loop), len(frames)) + 1 :]
        if all(isinstance(frame.node, cst.With) for frame in inside) and not _is_conditional(source, call, loop):
            return call
    return None


def _is_conditional(source: Source, node: cst.CSTNode, loop: cst.For) -> bool:
    for above in source.ancestors(node):
        if above is loop:
            return False
        if isinstance(above, cst.IfExp | cst.Lambda | cst.FunctionDef):
            return True
    return True
