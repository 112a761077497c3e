"""Gradient scalers in training steps: what goes through them and what does not, in which order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.loops.actions import Kind
from pipeline_lint.facts.loops.roles import Part, Role, Roles
from pipeline_lint.facts.loops.traces import Happening, Loop, Scope, Traces
from pipeline_lint.source import Source

_SCALED = re.compile(r"scaled|scaler", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class ScalerDefect:
    """One thing that is wrong with a scaler in a training step."""

    kind: str
    """`unscaled backward`, `clip before unscale`, `read before unscale`, `direct step`, `no update`, `update twice`,
    `unscale twice`, `schedule after skip`, `first gradient only`."""
    node: cst.CSTNode
    scaler: str
    confidence: Confidence
    related: cst.CSTNode | None = None
    optimizer: str = ""
    loss: cst.BaseExpression | None = None
    is_fixable: bool = True


class Scaling:
    """The defects of one file's scalers: `source.fact(Scaling)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._roles = source.fact(Roles)
        self._flow = source.fact(Flow)
        self._traces = source.fact(Traces)
        found: dict[tuple[str, int], ScalerDefect | None] = {}
        if "scaler" in source.text.lower():
            for root, rounds in self._rounds():
                for key, defect in self._judged(root, rounds):
                    # Seen from several roots: the widest view, which comes first, knows most.
                    found.setdefault(key, defect)
        self.defects = tuple(defect for defect in found.values() if defect is not None)

    def of(self, *kinds: str) -> Iterator[ScalerDefect]:
        """The defects of some kinds, in the order in which they were found."""
        yield from (defect for defect in self.defects if defect.kind in kinds)

    def _rounds(self) -> Iterator[tuple[Loop | Scope, Sequence[Happening]]]:
        """What happens in one round of each loop that trains, and in functions that do a step for others."""
        seen: set[int] = set()
        for loop in self._traces.outermost_loops():
            trace = self._traces.of(loop)
            inner = {id(each.loops[-1]): each.loops[-1] for each in trace if each.kind is Kind.BACKWARD}
            for key, innermost in inner.items():
                if key not in seen:
                    seen.add(key)
                    yield loop, [each for each in trace if each.is_in(innermost)]
        for scope in self._traces.scopes():
            if isinstance(scope, cst.FunctionDef) and not self._traces.is_called(scope):
                trace = self._traces.of(scope)
                if any(each.kind is Kind.BACKWARD and not each.loops for each in trace):
                    yield scope, trace

    def _judged(
        self, root: Loop | Scope, rounds: Sequence[Happening]
    ) -> Iterator[tuple[tuple[str, int], ScalerDefect | None]]:
        scalers = {each.scaler for each in rounds if each.scaler and each.scaler != "?"}
        if not scalers:
            return
        for checks in (self._backwards, self._clips, self._steps, self._unscales, self._schedules):
            for defect in checks(root, rounds):
                yield (defect.kind, id(defect.node)), defect

    def _backwards(self, root: Loop | Scope, rounds: Sequence[Happening]) -> Iterator[ScalerDefect]:
        """Backwards without the scaler through which the step goes that uses their gradients."""
        for index, backward in enumerate(rounds):
            if backward.kind is not Kind.BACKWARD or backward.scaler or backward.action.is_framework:
                continue
            value = backward.action.value
            if value is None or self._is_scaled(value) or _is_alternative(backward, rounds, Kind.BACKWARD):
                continue
            step = _step_after(rounds, index)
            if step is None or not step.scaler or not self._is_scaler(step.scaler, root):
                continue
            if any(each.kind in (Kind.FOREIGN,) and "scale" in each.action.path for each in rounds):
                continue
            yield ScalerDefect(
                "unscaled backward",
                backward.action.node,
                step.action.scaler,
                self._confidence(step.scaler, root),
                step.action.node,
                loss=value,
                is_fixable=backward.calls == step.calls,
            )

    def _clips(self, root: Loop | Scope, rounds: Sequence[Happening]) -> Iterator[ScalerDefect]:
        """Clips of gradients that are still scaled."""
        for index, clip in enumerate(rounds):
            if clip.kind is not Kind.CLIP or re.search(r"accelerat|fabric", self._source.code(clip.action.node)):
                continue
            backward = next(reversed(_scalings_before(rounds, index)), None)
            step = _step_after(rounds, index)
            if backward is not None and backward.kind is Kind.UNSCALE:
                yield from self._clipped_beside(root, rounds, index)
                continue
            if backward is None or step is None or backward.kind is not Kind.BACKWARD or not backward.scaler:
                continue
            if not step.scaler or any(each.kind is Kind.FOREIGN for each in rounds[rounds.index(backward) : index]):
                continue
            if _is_alternative(clip, rounds, Kind.UNSCALE):
                continue
            yield ScalerDefect(
                "clip before unscale",
                clip.action.node,
                step.action.scaler,
                self._confidence(step.scaler, root),
                backward.action.node,
                optimizer=step.action.path,
                is_fixable=clip.calls == step.calls and _is_prefix(step, clip) and bool(step.action.path),
            )

    def _clipped_beside(self, root: Loop | Scope, rounds: Sequence[Happening], index: int) -> Iterator[ScalerDefect]:
        """A clip of parameters whose optimizer is not the one that has been unscaled."""
        clip = rounds[index]
        clipped = self._roles.models_in(clip.action.value) if clip.action.value is not None else None
        unscaled = {each.path for each in _scalings_before(rounds, index) if each.kind is Kind.UNSCALE}
        steps = [each for each in rounds[index + 1 :] if each.kind is Kind.STEP and each.scaler]
        owners = [each for each in steps if clipped and clipped == self._roles.owned(each.path, root)]
        others = [self._roles.owned(path, root) for path in unscaled]
        is_apart = all(models is not None and not models & (clipped or set()) for models in others)
        if len(owners) == 1 and owners[0].path not in unscaled and is_apart:
            step = owners[0]
            yield ScalerDefect(
                "clip before unscale",
                clip.action.node,
                step.action.scaler,
                self._confidence(step.scaler, root),
                optimizer=step.action.path,
                is_fixable=clip.calls == step.calls and _is_prefix(step, clip),
            )

    def _steps(self, root: Loop | Scope, rounds: Sequence[Happening]) -> Iterator[ScalerDefect]:
        """Steps that pass a scaler by, and scalers that are never updated."""
        for index, step in enumerate(rounds):
            if step.kind is not Kind.STEP:
                continue
            before = _scalings_before(rounds, index)
            last = before[-1] if before else None
            is_scaled = last is not None and last.kind is Kind.BACKWARD and self._is_scaler(last.scaler, root)
            is_past = not step.scaler and not _is_alternative(step, rounds, Kind.STEP)
            if last is not None and is_scaled and is_past and all(x.kind is not Kind.UNSCALE for x in before):
                yield ScalerDefect(
                    "direct step",
                    step.action.node,
                    last.action.scaler,
                    self._confidence(last.scaler, root),
                    last.action.node,
                    optimizer=step.action.path,
                    is_fixable=last.calls == step.calls and last.action.scaler != "?",
                )
            if step.scaler and not self._is_updated(step, rounds, root):
                yield ScalerDefect(
                    "no update", step.action.node, step.action.scaler, self._confidence(step.scaler, root)
                )

    def _is_updated(self, step: Happening, rounds: Sequence[Happening], root: Loop | Scope) -> bool:
        if f"{step.action.scaler.rpartition('.')[2]}.update(" in self._source.text:
            return True
        if any(
            each.kind is Kind.UPDATE or (each.kind is Kind.FOREIGN and "update" in each.action.path) for each in rounds
        ):
            return True
        # What a function is given may be updated by its caller.
        return not self._roles.part(step.scaler, root).is_known

    def _unscales(self, root: Loop | Scope, rounds: Sequence[Happening]) -> Iterator[ScalerDefect]:
        """`unscale_` in rounds in which no `update` follows, so that the next one raises."""
        updates = [each for each in rounds if each.kind is Kind.UPDATE]
        for unscale in rounds:
            if unscale.kind is not Kind.UNSCALE or not updates:
                continue
            own = [each for each in updates if each.scaler == unscale.scaler]
            if own and all(_extra_condition(unscale, each) for each in own):
                yield ScalerDefect(
                    "unscale twice",
                    unscale.action.node,
                    unscale.action.scaler,
                    Confidence.LIKELY,
                    own[0].action.node,
                )

    def _schedules(self, root: Loop | Scope, rounds: Sequence[Happening]) -> Iterator[ScalerDefect]:
        """Schedulers that step in every round, also when the scaler has skipped the optimizer's step."""
        if "get_scale" in self._source.text or "was_skipped" in self._source.text:
            return
        for index, schedule in enumerate(rounds):
            if schedule.kind is not Kind.SCHEDULE:
                continue
            step = next((each for each in reversed(rounds[:index]) if each.kind is Kind.STEP and each.scaler), None)
            if step is not None and step.loops and step.loops == schedule.loops and _is_prefix(schedule, step):
                yield ScalerDefect(
                    "schedule after skip",
                    schedule.action.node,
                    step.action.scaler,
                    Confidence.LIKELY,
                    step.action.node,
                    is_fixable=step.calls == schedule.calls,
                )

    def _is_scaled(self, value: cst.BaseExpression) -> bool:
        """Whether a loss has been scaled before: `scaled = scaler.scale(loss)`."""
        if isinstance(value, cst.Call):
            # Also behind a cast for type checkers.
            return called_name(value) == "scale" or ".scale(" in self._source.code(value)
        if isinstance(value, cst.Name):
            definition = self._flow.value_of(value)
            if isinstance(definition, cst.Call) and called_name(definition) == "scale":
                return True
        return _SCALED.search(self._source.code(value)) is not None

    def _is_scaler(self, path: str, at: cst.CSTNode) -> bool:
        return self._roles.part(path, at).role is Role.SCALER

    def _part(self, path: str, at: cst.CSTNode) -> Part:
        return self._roles.part(path, at)

    def _confidence(self, path: str, at: cst.CSTNode) -> Confidence:
        """Certain where the file builds the scaler."""
        return Confidence.CERTAIN if self._part(path, at).is_known else Confidence.LIKELY


def _step_after(rounds: Sequence[Happening], index: int) -> Happening | None:
    """The first step of an optimizer that may follow in the same run of the code."""
    here = rounds[index]
    return next((each for each in rounds[index + 1 :] if each.kind is Kind.STEP and each.may_run_with(here)), None)


def _scalings_before(rounds: Sequence[Happening], index: int) -> list[Happening]:
    """What decided before, in the same run of the code, whether gradients are scaled."""
    here, kinds = rounds[index], (Kind.BACKWARD, Kind.STEP, Kind.UNSCALE)
    return [each for each in rounds[:index] if each.kind in kinds and each.may_run_with(here)]


def _is_alternative(happening: Happening, rounds: Sequence[Happening], kind: Kind) -> bool:
    """Whether it is what is done without a scaler: another branch of an `if` around it does it with one."""
    others = [frame for each in rounds if each.kind is kind and each.scaler for frame in each.frames]
    return any(
        isinstance(frame.node, cst.If) and frame.node is other.node and frame.block != other.block
        for frame in happening.frames
        for other in others
    )


def _is_prefix(outer: Happening, inner: Happening) -> bool:
    """Whether the first runs whenever the second does, conditions for themselves apart."""
    one = [frame for frame in outer.frames if not isinstance(frame.node, cst.With)]
    other = [frame for frame in inner.frames if not isinstance(frame.node, cst.With)]
    return len(one) <= len(other) and all(a.is_same_block(b) for a, b in zip(one, other, strict=False))


def _extra_condition(unscale: Happening, update: Happening) -> bool:
    """Whether an `if` without `else` around the update does not stand around the unscaling, and it alone decides."""
    around = {id(each.node) for each in unscale.frames}
    return any(
        isinstance(frame.node, cst.If)
        and frame.block == "body"
        and frame.node.orelse is None
        and id(frame.node) not in around
        for frame in update.frames
    )
