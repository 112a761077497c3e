"""Arranges a run's numbers in charts, and thins out what is more than a screen can show."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_POINTS = 2000
"""Of a curve."""
_MAX_POINTS_IN_ALL = 1_000_000
_MIN_POINTS = 200


@dataclass(slots=True)
class Series:
    """A curve: values are None where they were not finite, and `bad` says what they were."""

    name: str
    steps: list[int]
    values: list[float | None]
    bad: list[tuple[int, str]] = field(default_factory=list)


@dataclass(slots=True)
class Chart:
    """Curves with one pair of axes."""

    group: str
    title: str
    series: list[Series]

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def charts_of(scalars: Mapping[str, Mapping[int, float]]) -> list[Chart]:
    """One chart for keys that differ only after their second slash, or a later one: training beside validation, layer
    beside layer."""
    most = _max_points(len(scalars))
    charts: dict[str, Chart] = {}
    for key in sorted(scalars):
        parts = key.split("/")
        title, name = (key, parts[-1]) if len(parts) < 3 else ("/".join(parts[:-1]), parts[-1])
        if title in scalars and title != key:
            title += "/*"
        chart = charts.setdefault(title, Chart(parts[0], title, []))
        chart.series.append(series_of(name, scalars[key], most))
    return list(charts.values())


def laid_out(
    layout: Mapping[str, Mapping[str, Sequence[str]]], scalars: Mapping[str, Mapping[int, float]]
) -> list[Chart]:
    """The charts that the layout asks for; keys are regular expressions. Those without a curve are left out."""
    most = _max_points(len(scalars))
    charts = []
    for category, titles in layout.items():
        for title, patterns in titles.items():
            keys = [key for key in sorted(scalars) if any(_matches(pattern, key) for pattern in patterns)]
            if keys:
                charts.append(Chart(category, title, [series_of(key, scalars[key], most) for key in keys]))
    return charts


def series_of(name: str, by_step: Mapping[int, float], most: int = MAX_POINTS) -> Series:
    """In the order of steps. Of more than `most` points, the smallest and the largest of each stretch stay."""
    found = Series(name, [], [])
    points = sorted(by_step.items())
    for step, value in points if len(points) <= most else _thinned(points, most):
        found.steps.append(step)
        found.values.append(float(f"{value:.6g}") if math.isfinite(value) else None)
    found.bad = [(step, str(value)) for step, value in points if not math.isfinite(value)][:20]
    return found


def _thinned(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    kept: list[tuple[int, float]] = []
    size = math.ceil(len(points) / (most // 2))
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        kept += sorted({min(stretch, key=_height), max(stretch, key=_height)})
    return kept


def _height(point: tuple[int, float]) -> float:
    """What is not finite is the most remarkable."""
    return point[1] if math.isfinite(point[1]) else math.inf


def _max_points(num_series: int) -> int:
    """A page must open, however many layers a model has."""
    return max(_MIN_POINTS, min(MAX_POINTS, _MAX_POINTS_IN_ALL // max(num_series, 1)))


def _matches(pattern: str, key: str) -> bool:
    try:
        return re.fullmatch(pattern, key) is not None
    except re.error:
        return pattern == key
