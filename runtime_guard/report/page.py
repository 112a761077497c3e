"""Writes a run's record as one HTML page."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from runtime_guard import __version__
from runtime_guard.report.charts import charts_of, laid_out
from runtime_guard.report.markup import as_html
from runtime_guard.report.record import Record

_HERE = Path(__file__).parent
_MAX_STEPS = {"histograms": 40, "curves": 40, "pictures": 60, "texts": 60}
"""Of a key; of more, some are picked that lie evenly."""
_MAX_PICTURE_BYTES = 48 * 1024 * 1024


def page_of(record: Record) -> str:
    """HTML that loads nothing from elsewhere, and lets nothing in it do so."""
    name = record.folder.absolute().name
    contents = {
        "NAME": html.escape(name),
        "SUBTITLE": html.escape(_subtitle(record)),
        "CSS": _file("uplot/uPlot.min.css") + _file("page.css"),
        "SCRIPT": _file("uplot/uPlot.iife.min.js") + "\n" + _file("page.js"),
        "DATA": _embedded(data_of(record)),
    }
    page = _file("page.html")
    # In one pass: what is put in may hold what looks like a place to put something.
    return "".join(chain.from_iterable((part, contents.get(key, "")) for part, key in _places(page)))


def data_of(record: Record) -> dict[str, Any]:
    """What the page's script draws."""
    return {
        "overview": [chart.as_dict() for chart in laid_out(record.layout, record.scalars)],
        "charts": [chart.as_dict() for chart in charts_of(record.scalars)],
        "histograms": _stepped(record.histograms, "histograms", _bars),
        "curves": _stepped(record.curves, "curves", _curve),
        "pictures": _pictures(record),
        "texts": _stepped(record.texts, "texts", as_html),
        "hyperparameters": None if record.hyperparameters is None else _plain(record.hyperparameters),
        "incidents": [{"step": told.step, "verdict": told.verdict} for told in record.incidents],
    }


def _subtitle(record: Record) -> str:
    told = record.health.describe() if record.health is not None else f"{len(record.incidents)} incidents"
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return f"{told}\nwritten by runtime_guard {__version__} on {now}"


def _stepped(found: Mapping[str, Mapping[int, Any]], kind: str, make: Any) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "num_steps": len(by_step),
            "items": [{"step": step, "value": make(by_step[step])} for step in _picked(sorted(by_step), kind)],
        }
        for key, by_step in sorted(found.items())
    ]


def _picked(steps: Sequence[int], kind: str, share: float = 1.0) -> list[int]:
    """At most so many, evenly, the last one included."""
    most = max(1, int(_MAX_STEPS[kind] * share))
    if len(steps) <= most:
        return list(steps)
    return [steps[len(steps) - 1 - (len(steps) - 1) * index // max(most - 1, 1)] for index in range(most)][::-1]


def _bars(value: Mapping[str, Any]) -> dict[str, Any]:
    limits = [float(f"{limit:.6g}") for limit in value["limits"]]
    return {"limits": limits, "counts": value["counts"], "minimum": value["minimum"]}


def _curve(value: Mapping[str, Any]) -> dict[str, Any]:
    points = sorted(zip(value["recall"], value["precision"], strict=True))
    return {"recall": [recall for recall, _ in points], "precision": [precision for _, precision in points]}


def _pictures(record: Record) -> list[dict[str, Any]]:
    sizes = [
        file.stat().st_size
        for by_step in record.pictures.values()
        for step in _picked(sorted(by_step), "pictures")
        if (file := _picture(record.folder, by_step[step])) is not None
    ]
    share = min(1.0, _MAX_PICTURE_BYTES / max(sum(sizes), 1))
    found = []
    for key, by_step in sorted(record.pictures.items()):
        items = []
        for step in _picked(sorted(by_step), "pictures", share):
            file = _picture(record.folder, by_step[step])
            source = None if file is None else "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode()
            value = {"source": source, "file": by_step[step]["file"], "caption": by_step[step]["caption"]}
            items.append({"step": step, "value": value})
        found.append({"key": key, "num_steps": len(by_step), "items": items})
    return found


def _picture(folder: Path, value: Mapping[str, Any]) -> Path | None:
    """None when it is gone, or not in the run's folder."""
    file = (folder / value["file"]).resolve()
    return file if file.is_file() and file.is_relative_to(folder.resolve()) else None


def _plain(value: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    def told(item: Any) -> str:
        return f"{item:.6g}" if isinstance(item, float) else str(item)

    return {part: {name: told(item) for name, item in value[part].items()} for part in ("values", "metrics")}


def _embedded(data: Mapping[str, Any]) -> str:
    """JSON within a script element: nothing in it may end the element, or begin a comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _file(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _places(page: str) -> list[tuple[str, str]]:
    """The text up to each `{{NAME}}`, with the name; the last one has none."""
    parts = [part.partition("}}") for part in ("}}" + page).split("{{")]
    names = [name for name, _, _ in parts[1:]] + [""]
    return [(text, name) for (_, _, text), name in zip(parts, names, strict=True)]
