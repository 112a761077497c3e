"""The text of an incident: one screen that says where, what, why, and what to do."""

from __future__ import annotations

import os

from runtime_guard.incidents.incident import Birth, Incident, Link, Place, TensorSummary

_MAX_FOUND = 4


def describe(incident: Incident) -> str:
    """The whole verdict, several lines without a line break at the end."""
    lines = [_headline(incident)]
    birth = incident.birth
    if birth is not None:
        lines += _birth_lines(birth)
    if incident.error is not None:
        raised = [incident.error]
        if incident.raised_at is not None:
            raised.append(f"at {short_path(incident.raised_at.path)}:{incident.raised_at.line}")
        lines += _section("Ended by", raised)
    lines += _section("Found", incident.found[:_MAX_FOUND], more=len(incident.found) - _MAX_FOUND)
    if len(incident.chain) > 1:
        lines += _section("Way to the " + _goal(incident), [_link_line(link) for link in incident.chain])
    lines += _section("Before", incident.observations)
    lines += _section("Note", incident.notes)
    if incident.advice is not None:
        rule = f" ({incident.rule})" if incident.rule else ""
        lines += _section("Advice", [incident.advice + rule, *([incident.command] if incident.command else [])])
    elif incident.command:
        lines += _section("Advice", [incident.command])
    if incident.decision:
        lines += _section("Decision", [incident.decision])
    if incident.bundle is not None:
        again = f"runtime-guard replay {short_path(incident.bundle)}"
        if incident.obstacle is not None:
            again = f"cannot be run again: {incident.obstacle}"
        lines += _section("Kept in", [incident.bundle, again])
    return "\n".join(lines)


def _headline(incident: Incident) -> str:
    where = f"step {incident.step} (epoch {incident.epoch}, batch {incident.batch}"
    if incident.num_micro_batches > 1:
        where += f", micro-batch {incident.micro_batch + 1} of {incident.num_micro_batches}"
    rank = incident.rank if incident.made_on is None else incident.made_on
    where += f", rank {rank})" if rank or incident.made_on is not None else ")"
    birth = incident.birth
    if birth is None and incident.error is not None:
        return f"At {where}, {incident.error.partition(':')[0]} ended the loop body, with numbers that are not finite"
    if birth is None:
        return f"The {incident.what} of {where} {_verb(incident.what)} not finite"
    if birth.kind != "operation":
        value = birth.value
        return f"At {where}, {_source_words(birth)} held {value} before the step computed anything"
    doing = {"backward": f"the backward of {birth.operation}", "update": f"{birth.operation} in the optimizer"}
    return f"At {where}, {doing.get(birth.phase, birth.operation)} made {birth.value}"


def _source_words(birth: Birth) -> str:
    words = {
        "input": "the input ", "parameter": "the parameter ", "buffer": "the buffer ",
        "literal": "the code itself, in ",
        "outside": "", "uninitialised": "",
    }  # fmt: skip
    return words.get(birth.kind, "") + birth.operation


def _verb(what: str) -> str:
    return "are" if what in ("gradients", "parameters") else "is"


def _goal(incident: Incident) -> str:
    return {"gradients": "gradient", "parameters": "parameter", "error": "error"}.get(incident.what, "loss")


def _birth_lines(birth: Birth) -> list[str]:
    lines: list[str] = []
    if birth.modules or birth.module_type:
        kind = f" ({birth.module_type})" if birth.module_type else ""
        lines += _section("Module", [birth.module + kind])
    if birth.place is not None:
        lines += _section("Line", _place_lines(birth.place))
        callers = [place for place in birth.stack if place != birth.place]
        lines += _section("Called from", [_caller_line(place) for place in callers[-3:]])
    if birth.samples:
        word = "sample" if len(birth.samples) == 1 else "samples"
        lines += _section("In", [f"{word} {', '.join(map(str, birth.samples))} of the batch"])
    lines += _section("Inputs", [_summary_line(summary) for summary in birth.inputs[:6]])
    if birth.output is not None:
        lines += _section("Output" if birth.kind == "operation" else "Holds", [_summary_line(birth.output)])
    return lines


def _place_lines(place: Place) -> list[str]:
    return [f"{short_path(place.path)}:{place.line} in {place.function}", f"    {place.text}"]


def _caller_line(place: Place) -> str:
    return f"{short_path(place.path)}:{place.line} in {place.function}: {place.text}"


def _link_line(link: Link) -> str:
    parts = [link.operation]
    if link.module:
        parts.append(f"in {link.module}")
    if link.place is not None:
        parts.append(f"at {short_path(link.place.path)}:{link.place.line}")
    return " ".join(parts)


def _summary_line(summary: TensorSummary) -> str:
    shape = "x".join(map(str, summary.shape)) or "scalar"
    text = f"{summary.role}: {shape} {summary.dtype}"
    if summary.min is not None:
        text += f", {_number(summary.min)} to {_number(summary.max)}"
    counts = [(summary.num_nan, "nan"), (summary.num_inf, "inf"), (summary.num_zero, "zero")]
    told = [f"{count} {word}" for count, word in counts if count]
    if told:
        text += f", {', '.join(told)}"
    if summary.first_bad is not None and summary.first_bad:
        text += f", first at {list(summary.first_bad)}"
    if summary.value_at_bad is not None:
        text += f", {_number(summary.value_at_bad)} where the output is bad"
    return text


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.6g}"


def _section(title: str, rows: list[str] | tuple[str, ...], more: int = 0) -> list[str]:
    told = [*rows, f"and {more} more"] if more > 0 else list(rows)
    return [f"  {title if index == 0 else '':<15}  {row}" for index, row in enumerate(told)]


def short_path(path: str) -> str:
    """Relative to the current folder where that is shorter."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # Another drive.
        return path
    return relative if len(relative) < len(path) else path
