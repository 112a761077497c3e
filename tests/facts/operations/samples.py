"""Numbers at which torch breaks, laid out in tensors."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

import torch

from pipeline_lint.facts import floats
from pipeline_lint.facts.floats import LIMITS

INFINITY = float("inf")
Interval = tuple[float, float]

INTERVALS: tuple[Interval, ...] = (
    (-INFINITY, INFINITY),
    (0.0, INFINITY),
    (-INFINITY, 0.0),
    (0.0, 1.0),
    (-1.0, 1.0),
    (0.25, 0.75),
    (1.0, INFINITY),
    (-3.0, -2.0),
    (1e-6, 30.0),
    (-1.0, INFINITY),
    (-120.0, 120.0),
    (0.0, 0.0),
    (2.0, 2.0),
)
SECOND: tuple[Interval, ...] = (
    (-INFINITY, INFINITY),
    (0.0, INFINITY),
    (0.0, 1.0),
    (-2.0, -0.5),
    (0.25, 3.0),
    (-1.0, 1.0),
)

HUGE = {"float32": 1e18, "bfloat16": 1e18, "float16": 64.0, "float64": 1e150}
"""Beyond it squares and sums overflow on the way."""
TINY = {"float32": 1e-19, "bfloat16": 1e-19, "float16": 1 / 200, "float64": 1e-150}
"""Below it reciprocals of squares do."""


def grid(dtype: str, interval: Interval) -> list[float]:
    """Numbers of a dtype in an interval, both ends among them."""
    limits = LIMITS[dtype]
    numbers = [
        0.0,
        limits.smallest,
        limits.tiny,
        limits.eps,
        1e-3,
        0.1,
        0.25,
        1 / 3,
        0.5,
        0.75,
        1.0,
        1.5,
        2.0,
        2.5,
        3.0,
    ]
    numbers += [floats.next_above(1.0, dtype), floats.next_below(1.0, dtype), 5.5, 7.0, 11.0, 12.0, 17.0, 20.0, 30.0]
    numbers += [50.0, 88.0, 90.0, 104.0, 105.0, 120.0, 150.0, 256.0, 1e4, limits.max / 2, limits.max]
    numbers += [-number for number in numbers]
    low, high = interval
    ends = [end for end in interval if abs(end) < INFINITY]
    numbers += ends
    if len(ends) == 2:
        numbers += [low + (high - low) * step / 8 for step in range(1, 8)]
    found = {floats.rounded(number, dtype) for number in numbers if abs(number) <= limits.max}
    return sorted(number for number in found if low <= number <= high)


def spread(numbers: Sequence[float], count: int) -> list[float]:
    """No more than so many of the numbers, the ends and what is near 0 and 1 first."""
    if len(numbers) <= count:
        return list(numbers)
    first = sorted(
        numbers, key=lambda number: (number not in (numbers[0], numbers[-1], 0.0, 1.0, -1.0), abs(number - 0.5))
    )
    return first[: count // 2] + first[count // 2 :: max((len(first) - count // 2) // (count - count // 2), 1)]


def elementwise(dtype: str, intervals: Sequence[Interval]) -> Iterator[list[torch.Tensor]]:
    """All combinations of numbers of the intervals."""
    count = {1: 200, 2: 26, 3: 9}[len(intervals)]
    columns = [spread(grid(dtype, interval), count) for interval in intervals]
    combinations = torch.tensor(list(itertools.product(*columns)), dtype=torch.float64)
    yield [column.to(getattr(torch, dtype)) for column in combinations.unbind(1)]


def shaped(dtype: str, intervals: Sequence[Interval], shape: tuple[int, ...]) -> Iterator[list[torch.Tensor]]:
    """Tensors of equal numbers, of the two ends in turn, of numbers drawn, and the same tensor for all operands."""
    draw = random.Random(0)
    columns = [grid(dtype, interval) for interval in intervals]
    size = torch.Size(shape).numel()
    pick = [spread(column, 4) for column in columns]
    rows = [[[numbers[position % len(numbers)]] * size for numbers in pick] for position in range(4)]
    rows.append([[column[0], column[-1]] * (size // 2) for column in columns])
    rows.append([[0.0 if 0.0 in column else column[0]] * (size - 1) + [column[-1]] for column in columns])
    for first, second in ((0, -1), (-1, 0)):
        rows.append([[column[first]] + [column[second]] * (size - 1) for column in columns])
    small = [[number for number in column if abs(number) <= 30] or column for column in columns]
    rows += [[draw.choices(column, k=size) for column in small] for _ in range(2)]
    rows += [[draw.choices(column, k=size) for column in columns]]
    shared = [number for number in columns[0] if all(number in column for column in columns)]
    if shared:
        drawn = draw.choices([number for number in shared if abs(number) <= 30] or shared, k=size)
        rows.append([drawn for _ in columns])
    for row in rows:
        yield [torch.tensor(numbers, dtype=torch.float64).reshape(shape).to(getattr(torch, dtype)) for numbers in row]


SHAPES = {"rows": (2, 4), "images": (1, 2, 2, 2), "squares": (2, 2)}


def arranged(arrangement: str, dtype: str, intervals: Sequence[Interval]) -> Iterator[list[torch.Tensor]]:
    """Tensors with numbers of these intervals, one for each."""
    if not intervals:
        yield []
    elif arrangement == "elementwise":
        yield from elementwise(dtype, intervals)
    else:
        yield from shaped(dtype, intervals, SHAPES[arrangement])
