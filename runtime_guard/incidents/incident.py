"""What an incident says: plain data, without tensors, that can be written as JSON and read back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import Self


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the user's code."""

    path: str
    line: int
    function: str
    text: str
    """The line as it stands in the file, without indentation; empty when the file cannot be read."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class TensorSummary:
    """What a tensor held, seen from outside."""

    role: str
    """What it was to the operation: "input 0", "output", or its name in the model or the batch."""
    shape: tuple[int, ...]
    dtype: str
    device: str
    min: float | None
    """Smallest and largest finite value; None when there is none."""
    max: float | None
    num_nan: int
    num_inf: int
    num_zero: int
    first_bad: tuple[int, ...] | None
    """Index of the first element that is not finite."""
    value_at_bad: float | None = None
    """The element at the place where the operation's output is first not finite, for tensors of the same shape."""


@dataclass(frozen=True, slots=True)
class Birth:
    """Where the first number that is not finite came from."""

    kind: str
    """operation, parameter, buffer, input, literal, uninitialised or outside."""
    phase: str
    """forward, backward, update, or before (what was there before the step began)."""
    operation: str
    """The operation as a user would name it: log, div, softmax; for a parameter or an input its name."""
    overload: str
    """torch's full name of what ran, e.g. aten.log.default; empty where no operation is to blame."""
    value: str
    """inf or nan."""
    modules: tuple[str, ...]
    """Names of the innermost module it happened in, several for a shared module, "" for the model itself; empty outside
    of the model."""
    module_type: str
    place: Place | None
    stack: tuple[Place, ...]
    """The user's lines that led there, outermost first."""
    inputs: tuple[TensorSummary, ...]
    output: TensorSummary | None
    micro_batch: int
    samples: tuple[int, ...] = ()
    """For an input of the step: which samples of the batch are bad."""
    producers: tuple[str, ...] = ()
    """For each input the operation that made it, where known."""
    absorber: str = ""
    """The operation that made something finite of what the operation had given in the forward pass; empty when the
    forward pass was finite, or stayed bad."""

    @property
    def module(self) -> str:
        """The module's name, `the model itself` for the outermost, `(outside of the model)` when there is none."""
        if not self.modules:
            return "(outside of the model)"
        return " = ".join(self.modules) or "the model itself"


@dataclass(frozen=True, slots=True)
class Link:
    """One operation on the way from the birth to the loss or the gradient."""

    operation: str
    module: str
    place: Place | None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What the sentinel saw of one update. Norms are L2 norms over all tensors."""

    step: int
    loss: float | None
    gradient_norm: float | None
    parameter_norm: float | None
    learning_rates: tuple[float, ...]
    scale: float | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """One step that went wrong, and what is known about why."""

    step: int
    epoch: int
    batch: int
    """Number of the batch within its epoch, from 0; of the last micro-batch when there are several."""
    micro_batch: int
    num_micro_batches: int
    rank: int
    """Of the process that tells it."""
    what: str
    """What was found to be not finite: loss, gradients, parameters or scale; error when one ended the body first."""
    found: tuple[str, ...]
    """The tensors concerned, e.g. "gradient of encoder.weight: nan"."""
    optimizer: str
    birth: Birth | None = None
    chain: tuple[Link, ...] = ()
    observations: tuple[str, ...] = ()
    """What the history shows, in plain sentences."""
    history: tuple[StepRecord, ...] = ()
    notes: tuple[str, ...] = ()
    """What limits the verdict: why there was no replay, that it stayed finite, that a batch was changed in place."""
    replayed: bool = False
    is_replay_bit_equal: bool | None = None
    """Whether the replay computed the very losses of the first time; None when there was nothing to compare."""
    rule: str | None = None
    """The rule of pipeline-lint that describes the cause."""
    advice: str | None = None
    command: str | None = None
    """The command that shows or fixes it."""
    decision: str = ""
    made_on: int | None = None
    """The rank that made the first bad number, where that is another one; birth and chain are what it saw."""
    error: str | None = None
    """The exception that ended the loop body, with its text, where that came before anything the guard looks at."""
    raised_at: Place | None = None
    """The user's line nearest to where it was raised."""
    bundle: str | None = None
    """The folder with everything that is needed to run the step again."""
    obstacle: str | None = None
    """Why the step cannot be run again from its bundle."""
    environment: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`; keys that this version does not know are left out."""
        known = {item.name for item in dataclasses.fields(cls)}
        values = {key: _tuples(value) for key, value in data.items() if key in known}
        values["birth"] = None if data.get("birth") is None else _birth(data["birth"])
        values["raised_at"] = _place(data.get("raised_at"))
        values["chain"] = tuple(_link(item) for item in data.get("chain", ()))
        values["history"] = tuple(StepRecord(**_tuples(item)) for item in data.get("history", ()))
        return cls(**values)


class TrainingIncident(RuntimeError):
    """Raised when a step went wrong and the policy is to stop; its text is the verdict."""

    def __init__(self, text: str, incident: Incident) -> None:
        super().__init__(text)
        self.incident = incident

    def __reduce__(self) -> tuple[type[TrainingIncident], tuple[str, Incident]]:
        return type(self), (str(self), self.incident)


def _birth(data: Mapping[str, Any]) -> Birth:
    values = _tuples(data)
    values["place"] = _place(data["place"])
    values["stack"] = tuple(Place(**item) for item in data["stack"])
    values["inputs"] = tuple(TensorSummary(**_tuples(item)) for item in data["inputs"])
    values["output"] = None if data["output"] is None else TensorSummary(**_tuples(data["output"]))
    return Birth(**values)


def _link(data: Mapping[str, Any]) -> Link:
    return Link(data["operation"], data["module"], _place(data["place"]))


def _place(data: Mapping[str, Any] | None) -> Place | None:
    return None if data is None else Place(**data)


def _tuples(value: Any) -> Any:
    """JSON knows lists only."""
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_tuples(item) for item in value)
    return value
