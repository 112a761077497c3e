"""How the values are written by name: by constants or by literal keys (`output-style`)."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline_lint.refactor.program import ModuleCode


class Style(enum.Enum):
    """The values of the option `output-style`."""

    CONSTANTS = "constants"
    LITERALS = "literals"


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of one output's values and how a file writes them."""

    names: tuple[str, ...]
    spelling: Callable[[ModuleCode, int], str]
    written: dict[ModuleCode, set[int]] = field(default_factory=lambda: defaultdict(set))
    """The keys that each file has come to use."""

    def refer(self, code: ModuleCode, index: int) -> str:
        """The code of the key of a value in a file: `OUTPUT_MU`, `"mu"`."""
        self.written[code].add(index)
        return self.spelling(code, index)

    def access(self, code: ModuleCode, expression: str, index: int) -> str:
        """The value of that index of an output: `outputs[OUTPUT_MU]`."""
        return f"{expression}[{self.refer(code, index)}]"

    @property
    def num_values(self) -> int:
        return len(self.names)
