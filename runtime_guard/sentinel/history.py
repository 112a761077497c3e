"""What the sentinel saw of past steps, and what stands out in it."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterable, Sequence

from runtime_guard.incidents.incident import StepRecord

_JUMP = 10.0
_RUN = 4


class History:
    """The last steps, oldest first, in bounded memory."""

    def __init__(self, length: int) -> None:
        self._records: deque[StepRecord] = deque(maxlen=length)

    def add(self, record: StepRecord) -> None:
        self._records.append(record)

    def replace(self, records: Iterable[StepRecord]) -> None:
        """Forgets what was seen for what another run saw."""
        self._records.clear()
        self._records.extend(records)

    def set_parameter_norm(self, norm: float | None) -> None:
        """What the last update made of the parameters."""
        if self._records and norm is not None:
            last = self._records[-1]  # Without `dataclasses.replace`, which takes longer than a small norm.
            self._records[-1] = StepRecord(
                last.step, last.loss, last.gradient_norm, norm, last.learning_rates, last.scale
            )

    def __len__(self) -> int:
        return len(self._records)

    @property
    def records(self) -> tuple[StepRecord, ...]:
        return tuple(self._records)


def observe(records: Sequence[StepRecord]) -> tuple[str, ...]:
    """What stands out: jumps of a norm or the loss, and growth over several steps up to the last one."""
    found: list[str] = []
    for name, label in (
        ("parameter_norm", "the parameter norm"),
        ("gradient_norm", "the gradient norm"),
        ("loss", "the loss"),
    ):
        values = [(record.step, getattr(record, name)) for record in records]
        finite = [(step, abs(value)) for step, value in values if value is not None and not math.isnan(value)]
        jump = _largest_jump(finite)
        rates = {record.step: record.learning_rates for record in records}
        if jump is not None:
            step, before, after = jump
            fold = f" {after / before:.3g}-fold" if math.isfinite(after) else ""
            text = f"{label} jumped{fold} at step {step}, from {before:.3g} to {_words(after)}"
            if name == "parameter_norm" and rates.get(step):
                text += f", with learning rate {', '.join(f'{rate:.3g}' for rate in dict.fromkeys(rates[step]))}"
            found.append(text)
        growing = _growing(finite)
        if growing is not None:
            count, first, last = growing
            found.append(f"{label} grew for the last {count} steps, from {first:.3g} to {_words(last)}")
    scales = [record.scale for record in records if record.scale is not None]
    if len(scales) > 2 and scales[-1] < scales[0] / 256:
        found.append(f"the loss scale fell from {scales[0]:.3g} to {scales[-1]:.3g}")
    return tuple(found)


def _words(value: float) -> str:
    """A norm of finite numbers is infinite when their squares are."""
    return f"{value:.3g}" if math.isfinite(value) else "more than 1e19"


def _largest_jump(values: Sequence[tuple[int, float]]) -> tuple[int, float, float] | None:
    """The first step whose value is `_JUMP` times the median of the steps before it."""
    for index in range(1, len(values)):
        before = statistics.median(value for _, value in values[max(0, index - 16) : index])
        step, after = values[index]
        if before > 0 and after > _JUMP * before:
            return step, before, after
    return None


def _growing(values: Sequence[tuple[int, float]]) -> tuple[int, float, float] | None:
    count = 0
    while count + 1 < len(values) and values[-count - 1][1] > values[-count - 2][1]:
        count += 1
    if count < _RUN or values[-1][1] < 2 * values[-count - 1][1]:
        return None
    return count, values[-count - 1][1], values[-1][1]
