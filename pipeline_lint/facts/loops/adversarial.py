"""Samples of a generator that its discriminator is trained on with the generator's graph attached."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.loops.actions import Kind
from pipeline_lint.facts.loops.gradient_mode import GradientMode
from pipeline_lint.facts.loops.roles import Roles, path_of
from pipeline_lint.facts.loops.traces import Happening, Loop, Traces
from pipeline_lint.source import Source

_GRADIENTS = re.compile(r"grad$|penalty", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class AttachedSample:
    """A call of a discriminator with a sample that carries its generator's graph for nothing."""

    call: cst.Call
    sample: cst.Name
    generator: str
    discriminator: str
    generated: cst.Call


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """A call of a model, with the variable that its result goes to, at its place in the text."""

    call: cst.Call
    model: str
    target: str
    start: int


def attached_samples(source: Source) -> Iterator[AttachedSample]:
    """The samples that are made anew before the generator is trained, so that their first graph serves nobody."""
    traces = source.fact(Traces)
    if len({action.path for action in source.fact(Traces).steps()}) < 2:
        return
    for loop in traces.outermost_loops():
        steps = [each for each in traces.of(loop) if each.kind is Kind.STEP and not each.calls]
        if len({step.path for step in steps}) >= 2:
            yield from _in_loop(source, loop, steps)


def _in_loop(source: Source, loop: Loop, steps: Sequence[Happening]) -> Iterator[AttachedSample]:
    roles, traces = source.fact(Roles), source.fact(Traces)
    owners = {step.path: roles.owned(step.path, loop) for step in steps}
    models = {model for owned in owners.values() for model in owned or ()}
    runs = _runs(source, loop, models)
    for step in steps:
        own = owners[step.path]
        if not own:
            continue
        end = source.span(step.action.node)[0]
        for run in runs:
            # The discriminator's run before its step, of a sample that the generator of another optimizer made.
            if run.model not in own or run.start > end or not run.call.args:
                continue
            sample = run.call.args[0].value
            if not isinstance(sample, cst.Name) or _is_differentiated(source, loop, sample.value):
                continue
            made = [each for each in runs if each.target == sample.value and each.start < run.start]
            if not made or made[-1].model in own or source.fact(GradientMode).is_off(made[-1].call):
                continue
            generator = made[-1].model
            later = [each for each in runs if each.start > end]
            is_fresh = bool(later) and later[0].model == generator
            optimizers = [path for path, owned in owners.items() if generator in (owned or ())]
            # What is called otherwise, a variable of a loop over all of them, may be the generator's.
            others = {*owners.keys(), *own} - {*optimizers, generator}
            if (
                is_fresh
                and _is_dropped(traces.of(loop), step, optimizers, others)
                and not _is_used_again(source, loop, run, end)
            ):
                yield AttachedSample(run.call, sample, generator, run.model, made[-1].call)


def _is_differentiated(source: Source, loop: Loop, name: str) -> bool:
    """Whether gradients with respect to a sample are wanted, which has none once it is detached."""
    return any(
        _GRADIENTS.search(called_name(call)) is not None
        and any(name in _attached_names(argument.value) for argument in call.args)
        for call in source.nodes(cst.Call)
        if loop in source.ancestors(call)
    )


def _is_dropped(trace: Sequence[Happening], step: Happening, optimizers: Sequence[str], others: Set[str]) -> bool:
    """Whether what the backward before a step leaves in the generator is cleared before the generator's own step.

    Otherwise the generator, which `optimizers` step, learns from it: with the discriminator, as an encoder does with
    its decoder, or against it.
    """
    index = next(i for i, each in enumerate(trace) if each is step)
    if any(each.kind is Kind.STEP and each.path in optimizers for each in trace[:index]):
        return False
    for each in trace[index + 1 :]:
        if each.kind is Kind.ZERO and each.path not in others:
            return True
        if each.kind is Kind.BACKWARD or (each.kind is Kind.STEP and each.path in optimizers):
            return False
    return False


def _runs(source: Source, loop: Loop, models: set[str]) -> list[_Run]:
    found = []
    for call in source.nodes(cst.Call):
        path = path_of(source, call.func)
        if path in models and loop in source.ancestors(call):
            assign = source.parent(call)
            target = ""
            if isinstance(assign, cst.Assign) and isinstance(assign.targets[0].target, cst.Name):
                target = assign.targets[0].target.value
            found.append(_Run(call, path, target, source.span(call)[0]))
    return sorted(found, key=lambda run: run.start)


def _is_used_again(source: Source, loop: Loop, run: _Run, end: int) -> bool:
    """Whether the sample of a run, or what is computed of it, is a part of something that is computed after `end`."""
    start = source.span(run.call)[0]
    assigns = sorted(
        (node for node in source.nodes(cst.Assign) if loop in source.ancestors(node)),
        key=source.span,
    )
    names = {argument.value.value for argument in run.call.args[:1] if isinstance(argument.value, cst.Name)}
    for assign in assigns:
        begin = source.span(assign)[0]
        targets = {name for target in assign.targets for name in _names(target.target)}
        if begin > end:
            if names & _attached_names(assign.value):
                return True
            # From here on the variable is another one.
            names -= targets
        elif source.span(assign)[1] >= start and names & _attached_names(assign.value):
            names |= targets
    return any(
        source.span(call)[0] > end and isinstance(call.func, cst.Attribute) and names & _names(call.func.value)
        for call in source.nodes(cst.Call)
        if called_name(call) == "backward" and loop in source.ancestors(call)
    )


def _names(node: cst.CSTNode) -> set[str]:
    found = {node.value} if isinstance(node, cst.Name) else set()
    return found.union(*(_names(child) for child in node.children))


def _attached_names(node: cst.CSTNode) -> set[str]:
    """The variables in an expression that are not detached there."""
    match node:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="item" | "detach" | "size" | "tolist"))):
            return set()
        case cst.Attribute(attr=cst.Name(value="data" | "shape")):
            return set()
        case cst.Name(value=name):
            return {name}
    return set().union(*(_attached_names(child) for child in node.children))
