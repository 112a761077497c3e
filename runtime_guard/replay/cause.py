"""From the events of a replay to the one birth that explains the bad loss or gradient, and the way between them."""

from __future__ import annotations

from collections.abc import Sequence

from runtime_guard.incidents.advice import MASKS
from runtime_guard.incidents.incident import Birth, Link
from runtime_guard.replay.events import Event, ancestors
from runtime_guard.replay.places import ModuleStack, place_of

_MAX_LINKS = 12


def find_root(target: Event) -> Event:
    """The earliest cause among the ancestors of a bad tensor.

    Operations and bad tensors that were there before the step come first; a literal infinity is to blame only when
    nothing else is. What was literal and turned into NaN by an operation (the softmax of a row of -inf) is that
    operation's birth.
    """
    known = {event.index: event for event in ancestors(target)}
    roots = [event for event in known.values() if event.is_birth or event.kind in _SOURCES]
    if not roots:
        roots = list(known.values())
    real = [event for event in roots if not event.is_birth or not _has_root_above(event)]
    return min(real or roots, key=lambda event: event.index)


def forward_of(root: Event) -> Event | None:
    """For a birth in backward: the birth in its own forward operation, when an activation hid that from the loss.

    What a mask took out on purpose (where, masked_fill) was no mistake in the forward pass; there the backward is to
    blame.
    """
    forward = root.forward
    if forward is None or not forward.is_birth or not forward.absorber or forward.absorber in MASKS:
        return None
    return forward


_SOURCES = ("parameter", "buffer", "input", "outside", "uninitialised")


def path_between(root: Event, target: Event) -> list[Event]:
    """A shortest way from the birth to the target, both included."""
    previous: dict[int, Event | None] = {target.index: None}
    queue = [target]
    while queue:
        event = queue.pop(0)
        if event is root:
            break
        for parent in event.parents:
            if parent.index not in previous:
                previous[parent.index] = event
                queue.append(parent)
    path: list[Event] = []
    step: Event | None = root
    while step is not None:
        path.append(step)
        step = previous.get(step.index)
    return path


def links_of(path: Sequence[Event], modules: ModuleStack) -> tuple[Link, ...]:
    """The way as it is shown: neighbours that look alike are one link, and a long way is cut in its middle."""
    links: list[Link] = []
    for event in path:
        names, kind = modules.describe(event.modules)
        operation = event.operation + (" (backward)" if event.phase == "backward" else "")
        link = Link(operation, (names[0] if names else "") or kind, place_of(event.line))
        if not links or links[-1] != link:
            links.append(link)
    if len(links) > _MAX_LINKS:
        left_out = Link(f"... {len(links) - _MAX_LINKS + 1} operations", "", None)
        links = [*links[: _MAX_LINKS // 2], left_out, *links[-(_MAX_LINKS // 2 - 1) :]]
    return tuple(links)


def birth_of(event: Event, modules: ModuleStack, samples: tuple[int, ...] = ()) -> Birth:
    """The event as plain data."""
    names, kind = modules.describe(event.modules)
    if not names and event.modules:
        # A loss module is no part of the model, but may have been called by one that is.
        names = modules.names_of(event.modules)
    if event.kind in ("parameter", "buffer"):
        names = tuple(name.rpartition(".")[0] for name in event.names if "." in name)
    places = [place for line in event.stack if (place := place_of(line)) is not None]
    return Birth(
        kind="operation" if event.kind in ("operation", "pass") else event.kind,
        phase=event.phase,
        operation=event.operation.strip("_") or event.operation,
        overload=event.overload,
        value=str(event.level),
        modules=names,
        module_type=kind,
        place=place_of(event.line),
        stack=tuple(places),
        inputs=event.inputs,
        output=event.output,
        micro_batch=event.micro_batch,
        samples=samples,
        producers=event.producers,
        absorber=event.forward.absorber if event.forward is not None else "",
    )


def _has_root_above(event: Event) -> bool:
    return any(
        ancestor is not event and (ancestor.is_birth or ancestor.kind in _SOURCES) for ancestor in ancestors(event)
    )
