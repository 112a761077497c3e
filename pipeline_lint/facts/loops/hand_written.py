"""Training loops that are written out: epochs around batches, with backward and step in one function."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Edit
from pipeline_lint.edits import insert_after, insert_before, replace
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.loops.actions import Kind
from pipeline_lint.facts.loops.module_calls import ModuleCalls
from pipeline_lint.facts.loops.roles import Roles, path_of
from pipeline_lint.facts.loops.traces import Loop, Traces
from pipeline_lint.facts.trained_code import is_test_code
from pipeline_lint.source import Source, UnknownPosition

_FRAMEWORKS = re.compile(
    r"lightning|\bignite\b|accelerat|\bfastai\b|catalyst|transformers import .*Trainer|deepspeed|composer|\bmmcv\b"
    r"|\bfabric\b|runtime_guard",
    re.IGNORECASE,
)
_MOST_MODELS = 4


@dataclass(frozen=True, slots=True, eq=False)
class HandWritten:
    """A training loop that no framework runs."""

    root: Loop
    """The loop over epochs, or that over batches where there is no other."""
    batches: cst.For
    optimizers: tuple[str, ...]
    models: tuple[str, ...]
    """Whose parameters the optimizers step, as the loop names them; empty where that cannot be told."""
    scaler: str


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What a model says of a batch and what is right, known behind a statement of the loop."""

    statement: cst.SimpleStatementLine
    scores: str
    targets: str


def hand_written(source: Source) -> Iterator[HandWritten]:
    """The training loops of a file that uses no framework, each with its own backward and step."""
    if _FRAMEWORKS.search(source.text) or is_test_code(source):
        return
    traces = source.fact(Traces)
    for root in traces.outermost_loops():
        own = [each for each in traces.of(root) if not each.calls]
        steps = [each for each in own if each.kind is Kind.STEP and each.path and each.loops]
        if not steps or not any(each.kind is Kind.BACKWARD for each in own):
            continue
        batches = steps[0].loops[-1]
        if not isinstance(batches, cst.For) or any(each.loops[-1] is not batches for each in steps):
            continue
        optimizers = tuple(dict.fromkeys(each.path for each in steps))
        scaler = next((each.scaler for each in steps if each.scaler), "")
        yield HandWritten(root, batches, optimizers, _models(source, batches, optimizers), scaler)


def guard_edits(
    source: Source, loop: HandWritten, *, logdir: str = "", shown: Shown | None = None
) -> tuple[Edit, ...] | None:
    """The edits that put a `Guard` around the loop; None where a model or the place of the loop is not plain.

    `shown` is a batch that the guard's monitors are to see.
    """
    if not loop.models or len(loop.models) > _MOST_MODELS or not _is_written_in_lines(source, loop):
        return None
    name = "guard" if not re.search(r"\bguard\b", source.text) else "training_guard"
    try:
        edits = _edits(source, loop, name, logdir)
        if shown is None:
            return edits
        code = f"{name}.samples({shown.scores}, {shown.targets})"
        return (*edits, insert_after(source, shown.statement, code))
    except UnknownPosition:
        return None


def _edits(source: Source, loop: HandWritten, name: str, logdir: str) -> tuple[Edit, ...]:
    reference = source.fact(Names).reference("runtime_guard.Guard", at=loop.root)
    arguments = [_together(loop.models), _together(loop.optimizers)]
    arguments += [f"scaler={loop.scaler}"] if loop.scaler else []
    arguments += [f'logdir="{logdir}"'] if logdir else []
    begin = insert_before(source, loop.root, f"{name} = {reference.code}({', '.join(arguments)})")
    # Counters and progress bars are watched with the batches, or they would count those of a replay twice.
    iterated = loop.batches.iter
    watched = replace(source, iterated, f"{name}.watch({_as_argument(source, iterated)})")
    end = insert_after(source, loop.root, f"{name}.close()")
    if loop.batches is loop.root:
        return (*reference.edits, begin, watched, end)
    epoch_end = insert_after(source, loop.batches, f"{name}.epoch_end()")
    if epoch_end.start == end.start:
        # Both loops end in one line.
        both = source.document.edit(end.start, end.end, epoch_end.text + end.text)
        return (*reference.edits, begin, watched, both)
    return (*reference.edits, begin, watched, epoch_end, end)


def _models(source: Source, batches: cst.For, optimizers: tuple[str, ...]) -> tuple[str, ...]:
    """The models that the optimizers own, or else those that the loop calls."""
    roles = source.fact(Roles)
    owned = [roles.owned(path, batches) for path in optimizers]
    if all(owned):
        return tuple(dict.fromkeys(model for models in owned for model in sorted(models or ())))
    called = [
        path_of(source, call.func) for call in source.fact(ModuleCalls).calls if batches in source.ancestors(call)
    ]
    return tuple(dict.fromkeys(path for path in called if path and "[" not in path))


def _as_argument(source: Source, node: cst.BaseExpression) -> str:
    code = source.code(node)
    return f"({code})" if isinstance(node, cst.GeneratorExp | cst.Tuple) and not node.lpar else code


def _together(paths: tuple[str, ...]) -> str:
    return paths[0] if len(paths) == 1 else f"[{', '.join(paths)}]"


def _is_written_in_lines(source: Source, loop: HandWritten) -> bool:
    return all(isinstance(source.parent(each), cst.IndentedBlock | cst.Module) for each in (loop.root, loop.batches))
