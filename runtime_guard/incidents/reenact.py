"""Runs an incident's step again in a process of its own: the script as it was, up to its first guarded batch."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime_guard.incidents.bundle import Bundle, BundleError, load_state
from runtime_guard.incidents.case import incident_of
from runtime_guard.incidents.incident import Incident
from runtime_guard.incidents.stored import unpack, unpack_rng
from runtime_guard.incidents.verdict import short_path
from runtime_guard.loops.body import loop_frame
from runtime_guard.loops.ending import Ending, blame, in_words, place_of_error
from runtime_guard.loops.step import Loss, MicroBatch, Suspicion, Window
from runtime_guard.loops.surroundings import Surroundings
from runtime_guard.loops.watcher import Watcher
from runtime_guard.replay.places import is_user_file
from runtime_guard.replay.session import ReplaySession, versions_of
from runtime_guard.scripts.script import STDIN, Script
from runtime_guard.sentinel.history import History
from runtime_guard.state import LightState, TensorCopies, Tracked


class ReenactedError(BaseException):
    """Ends the script once the step has been run again; no `except Exception` of the script stops it."""

    def __init__(self, incident: Incident) -> None:
        super().__init__()
        self.incident = incident


@dataclass(frozen=True, slots=True)
class _Unfinished:
    """A step that an error left."""

    suspicion: Suspicion
    session: ReplaySession
    surroundings: Surroundings


_active: list[Bundle] = []
_unfinished: list[_Unfinished] = []


def reenact(bundle: Bundle) -> Incident:
    """Starts the incident's script and returns the new verdict. Raises `BundleError` when that is not possible."""
    script = bundle.script
    if bundle.incident.obstacle is not None:
        raise BundleError(f"this incident cannot be run again: {bundle.incident.obstacle}")
    if script is None:
        raise BundleError(f"{bundle.folder} is damaged: it names no script")
    if script.path == STDIN:
        raise BundleError("this incident cannot be run again: its script came by standard input")
    if not Path(script.folder).is_dir():
        raise BundleError(f"the folder that the script was started in is gone: {script.folder}")
    if script.path is not None and not Path(script.path).exists():
        raise BundleError(f"the script is gone: {script.path}")
    before = Path.cwd()
    os.chdir(script.folder)
    _active.append(bundle)
    _unfinished.clear()
    try:
        _start(script)
    except ReenactedError as ended:
        return ended.incident
    except BundleError:
        raise
    except (Exception, SystemExit) as error:
        if bundle.incident.error is not None and _unfinished:
            return _ended_again(bundle.incident, error, _unfinished.pop())
        if not isinstance(error, SystemExit):
            raise BundleError(f"the script failed before the step was over: {_where(error)}") from error
        raise BundleError(f"the script left with exit code {error.code} before it came to a guarded batch") from None
    finally:
        _active.remove(bundle)
        os.chdir(before)
    raise BundleError("the script ended before it came to a guarded batch")


def _ended_again(before: Incident, error: BaseException, unfinished: _Unfinished) -> Incident:
    """The verdict on a step whose body an error ended, as one did before."""
    entry = loop_frame(error.__traceback__, unfinished.surroundings)
    blame(unfinished.session, error, "" if entry is None else entry.tb_frame.f_code.co_filename)
    ending = Ending(unfinished.suspicion, unfinished.session, in_words(error), place_of_error(error), None)
    return incident_of(unfinished.suspicion, unfinished.session, _history_of(before), ending=ending)


def _where(error: BaseException) -> str:
    """The error with the script's line nearest to it."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_user_file(frame.filename)]
    place = f" at {short_path(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def _start(script: Script) -> None:
    if script.is_attached:
        from runtime_guard.scripts.attach import run_attached

        run_attached(script)
    else:
        script.run()


def is_active() -> bool:
    """Whether this process runs an incident again."""
    return bool(_active)


def bundle_for(guard_number: int) -> Bundle | None:
    """The bundle that a guard's loop has to run again instead of training."""
    return next((bundle for bundle in _active if bundle.guard_number == guard_number), None)


def turns(bundle: Bundle, watcher: Watcher) -> Iterator[Any]:
    """The bundle's batches, under diagnosis; raises `ReenactedError` after the last one."""
    tracked = watcher.tracked
    surroundings = Surroundings.of_the_caller()
    tracked.look_again()
    load_state(tracked, bundle.tensors("state"))
    tensors = bundle.tensors("batches")
    window = _window(bundle, tracked, tensors)
    incident = bundle.incident
    watcher.restoration.drop_gradients()
    suspicion = Suspicion(incident.what, incident.found, incident.optimizer, incident.micro_batch, window, True, 0)
    watcher.hooks.suspicion = suspicion
    with ReplaySession(tracked) as session:
        watcher.hooks.replay = session
        for index, micro_batch in enumerate(window.micro_batches):
            micro_batch.rng.restore()
            session.begin_micro_batch(index, micro_batch.batch)
            try:
                yield micro_batch.batch
            except GeneratorExit:
                _unfinished.append(_Unfinished(suspicion, session, surroundings))
                raise
    raise ReenactedError(incident_of(suspicion, session, _history_of(incident)))


def _history_of(incident: Incident) -> History:
    history = History(len(incident.history) or 1)
    history.replace(incident.history)
    return history


def _window(bundle: Bundle, tracked: Tracked, tensors: dict[str, Any]) -> Window:
    window = Window(bundle.incident.step, bundle.incident.epoch, LightState(tracked, TensorCopies()))
    for index, entry in enumerate(bundle.micro_batches):
        try:
            batch = unpack(entry["batch"], tensors)
            rng = unpack_rng(entry["rng"], tensors, f"rng{index}")
        except (KeyError, ImportError, AttributeError, TypeError, ValueError) as error:
            raise BundleError(f"batch {entry.get('number')} cannot be made again: {error}") from None
        window.micro_batches.append(MicroBatch(batch, entry["number"], rng, versions_of(batch)))
    # The first run's losses are not kept; without them nothing is compared.
    window.losses = list[Loss]()
    return window


def is_same_verdict(a: Incident, b: Incident) -> bool:
    """Whether two verdicts blame the same operation, module, line and sample."""
    if a.birth is None or b.birth is None:
        return a.birth is b.birth
    return _blamed(a) == _blamed(b)


def _blamed(incident: Incident) -> tuple[Any, ...]:
    birth = incident.birth
    assert birth is not None
    line = None if birth.place is None else (birth.place.path, birth.place.line)
    return (birth.kind, birth.phase, birth.operation, birth.value, birth.modules, line, birth.samples, incident.rule)
