"""What monitors yield, and what becomes of it on the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

Reduction: TypeAlias = Literal["first", "mean", "sum", "max", "min"]
"""How the ranks' values become one: `first` takes that of the first rank."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How finite numbers spread over bins of equal width."""

    minimum: float
    maximum: float
    total: float
    sum_of_squares: float
    limits: tuple[float, ...]
    """Upper ends of the bins."""
    counts: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return sum(self.counts)


@dataclass(slots=True)
class Picture:
    """A picture that is drawn when the first sink wants it, away from the training's thread."""

    draw: Callable[[], NDArray[Any]]
    """Makes the pixels: uint8, `(H, W, 3)`. Has its numbers on the host, and touches nothing of the training's."""
    caption: str = ""
    _pixels: NDArray[Any] | None = field(default=None, init=False, repr=False)

    @property
    def pixels(self) -> NDArray[Any]:
        """uint8, `(H, W, 3)`."""
        if self._pixels is None:
            self._pixels = self.draw()
        return self._pixels


@dataclass(frozen=True, slots=True)
class Text:
    """Markdown."""

    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision and recall over thresholds that rise from 0 to 1 in equal steps; each tuple has one entry for each."""

    true_positives: tuple[int, ...]
    false_positives: tuple[int, ...]
    true_negatives: tuple[int, ...]
    false_negatives: tuple[int, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What a run was set to, with what came of it."""

    values: Mapping[str, str | float | bool]
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """Charts that show several keys at once, by category and title; keys are regular expressions."""

    charts: Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Binned:
    """A histogram in the making: one device vector, `NUM_BINS` counts and then the statistics of `Statistics`.

    Its key has a `*` where `min`, `mean`, `max`, `zeros` and `histogram` go.
    """

    vector: Tensor


@dataclass(frozen=True, slots=True)
class Derived:
    """Numbers on a device from which readings are made once they are on the host, joined over the ranks before.

    Counts of a confusion matrix, for example, are summed, and then drawn.
    """

    vector: Tensor
    build: Callable[[Sequence[float]], Mapping[str, Value]]
    """Called with the vector's numbers, away from the training's thread."""


Value: TypeAlias = float | Histogram | Picture | Text | Curve | Hyperparameters | Layout
Readings: TypeAlias = Mapping[str, Value]
"""By key."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing that a monitor read. A tensor, of no dimensions, stays on its device: nothing waits for it."""

    key: str
    value: Value | Tensor | Binned | Derived
    over_ranks: Reduction = "first"
