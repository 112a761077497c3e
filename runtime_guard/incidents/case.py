"""From a suspicion and its replay to an incident."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from runtime_guard import ranks
from runtime_guard.incidents.advice import Advice, advise
from runtime_guard.incidents.incident import Birth, Incident
from runtime_guard.incidents.verdict import short_path
from runtime_guard.loops.ending import Ending
from runtime_guard.loops.step import Suspicion
from runtime_guard.replay.cause import birth_of, find_root, forward_of, links_of, path_between
from runtime_guard.replay.events import Event
from runtime_guard.replay.session import ReplaySession, Target, samples_of, versions_of
from runtime_guard.sentinel.history import History, observe

_STAYED_FINITE = (
    "the replay stayed finite, so something differs from run to run: a race, a kernel that is not deterministic, "
    "or state that the guard does not know (pass it as state=...)"
)
_THROUGH_REDUCTION = "the gradient is bad through a reduction over ranks; this is the first bad one that went into it"


def incident_of(
    suspicion: Suspicion,
    session: ReplaySession | None,
    history: History,
    *,
    is_complete: bool = True,
    update: tuple[Birth, ...] = (),
    ending: Ending | None = None,
) -> Incident:
    """Everything that is known about a bad step. `update` is the birth inside an optimizer, when there is one.

    With `ending` an error of one rank left the loop, and the others are not asked.
    """
    window = suspicion.window
    notes: list[str] = []
    incident = Incident(
        step=window.step,
        epoch=window.epoch,
        batch=window.micro_batches[-1].number if window.micro_batches else 0,
        micro_batch=suspicion.micro_batch,
        num_micro_batches=len(window.micro_batches),
        rank=ranks.rank(),
        what=suspicion.what,
        found=suspicion.found,
        optimizer=suspicion.optimizer,
        observations=observe(history.records),
        history=history.records,
        replayed=session is not None and is_complete,
        error=None if ending is None else ending.error,
        raised_at=None if ending is None else ending.place,
    )
    if update:
        incident = dataclasses.replace(incident, birth=update[0])
    elif ending is not None and ending.note is not None:
        notes.append(ending.note)
    elif session is None:
        notes.append("there was no replay" if is_complete else "the loop was left before the step could be run again")
    else:
        incident = _with_replay(incident, suspicion, session, notes, is_complete=is_complete)
    if _was_changed_in_place(suspicion):
        notes.append("the loop body changed the batch in place, so the replay saw other data than the first run")
    if ending is not None and ending.hint is not None and incident.is_replay_bit_equal is not True:
        notes.append(ending.hint)
    incident = dataclasses.replace(incident, notes=tuple(notes))
    # A loss scale falls on each rank by itself, and a rank that was left by its loop comes to no agreement.
    if is_complete and suspicion.what != "scale" and (ending is None or ending.error is None):
        incident = _as_the_culprit_saw_it(incident, ranks.from_all(incident.as_dict()))
    return _with_advice(incident)


def _as_the_culprit_saw_it(incident: Incident, all_ranks: Sequence[Mapping[str, Any]]) -> Incident:
    """Where this rank only received the bad number: the birth on the rank that made it."""
    others = [Incident.from_dict(other) for other in all_ranks]
    # The order of ranks is the same on all, so they come to the same culprit.
    culprit = min(others, key=_doubt)
    if _doubt(culprit) == _doubt(incident):
        return incident
    note = f"rank {incident.rank} got the bad number from rank {culprit.rank}, whose view of it this is"
    return dataclasses.replace(
        incident,
        birth=culprit.birth,
        chain=culprit.chain,
        micro_batch=culprit.micro_batch,
        batch=culprit.batch,
        made_on=culprit.rank,
        notes=(*(note for note in incident.notes if note != _STAYED_FINITE), note),
    )


def _doubt(incident: Incident) -> int:
    """How far the birth is from being known."""
    if incident.birth is None or incident.birth.kind == "outside":
        return 2
    return int(_THROUGH_REDUCTION in incident.notes)


def _with_replay(
    incident: Incident, suspicion: Suspicion, session: ReplaySession, notes: list[str], *, is_complete: bool
) -> Incident:
    if not is_complete:
        notes.append("the loop was left during the replay")
    births = session.births
    if births.failure is not None:
        operations = f"{births.num_missed} operation{'' if births.num_missed == 1 else 's'}"
        notes.append(f"the replay could not look at {operations}: {type(births.failure).__name__}: {births.failure}")
    equal = _losses_equal(suspicion, session) if is_complete else None
    target = _target(session)
    if target is None:
        notes.append(_STAYED_FINITE)
        return dataclasses.replace(incident, is_replay_bit_equal=equal)
    root = find_root(target.event)
    path = path_between(root, target.event)
    if root.kind == "outside" and (sent := _sent_away(session)) is not None:
        notes.append(_THROUGH_REDUCTION)
        root, path = sent, [sent, *path[1:]]
    hidden = forward_of(root)
    if hidden is not None:
        root, path = hidden, [hidden, *path]
    window = suspicion.window
    batch = window.micro_batches[root.micro_batch].batch if root.micro_batch < len(window.micro_batches) else None
    return dataclasses.replace(
        incident,
        micro_batch=root.micro_batch,
        batch=window.micro_batches[root.micro_batch].number,
        is_replay_bit_equal=equal,
        birth=birth_of(root, session.modules, samples_of(root, batch)),
        chain=links_of(path, session.modules),
    )


def _sent_away(session: ReplaySession) -> Event | None:
    """What this rank gave to a reduction over ranks, which hides the way from there to the gradient."""
    if ranks.num_ranks() == 1:
        return None
    births = (e for e in session.births.events if e.is_birth and e.kind == "operation" and e.phase == "backward")
    return next(births, None)


def _target(session: ReplaySession) -> Target | None:
    """What the replay is to be asked about: the bad loss first, because gradients only follow from it."""
    if session.losses:
        return session.losses[0]
    if session.gradients:
        return session.gradients[0]
    # Of what was at hand at an error, that which was bad first.
    return min(session.suspects, key=lambda target: target.event.index, default=None)


def _losses_equal(suspicion: Suspicion, session: ReplaySession) -> bool | None:
    before = [loss.value for loss in suspicion.window.losses]
    after = [value for values in session.loss_values for value in values]
    if session.stops_at is not None:
        after = after[-len(before) :]  # The body may hold updates of other optimizers before.
    if not before or len(before) != len(after):
        return None
    return all(_is_same(a, b) for a, b in zip(before, after, strict=True))


def _is_same(a: Tensor, b: Tensor) -> bool:
    """Bit for bit, but any NaN is like any other."""
    return a.shape == b.shape and a.dtype == b.dtype and bool(torch.isclose(a, b, rtol=0, atol=0, equal_nan=True).all())


def _was_changed_in_place(suspicion: Suspicion) -> bool:
    return any(versions_of(m.batch) != m.versions for m in suspicion.window.micro_batches)


def _with_advice(incident: Incident) -> Incident:
    birth = incident.birth
    advice: Advice | None = None if birth is None else advise(birth)
    if advice is None:
        return incident
    command = None
    if advice.rule is not None and birth is not None:
        path = short_path(birth.place.path) if birth.place is not None else "."
        command = f"pipeline-lint check --select {advice.rule} {path}"
    return dataclasses.replace(incident, rule=advice.rule, advice=advice.text, command=command)
