"""How the values are written by name: as constants, literal keys, a typed dict or a dataclass (`output-style`)."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from pipeline_lint.refactor.program import ModuleCode


class Style(enum.Enum):
    """The values of the option `output-style`."""

    CONSTANTS = "constants"
    LITERALS = "literals"
    TYPED_DICT = "typed-dict"
    DATACLASS = "dataclass"


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of one output's values and how a file writes them."""

    names: tuple[str, ...]
    style: Style
    refer: Callable[[ModuleCode, int], str]
    """The code of the key of a value in a file: `OUTPUT_MU`, `"mu"`."""

    def access(self, code: ModuleCode, expression: str, index: int) -> str:
        """The value of that index of an output: `outputs[OUTPUT_MU]`, `outputs.mu`."""
        return expression + self.suffix(code, index)

    def suffix(self, code: ModuleCode, index: int) -> str:
        if self.style is Style.DATACLASS:
            return f".{self.names[index]}"
        return f"[{self.refer(code, index)}]"

    def all_values(self, code: ModuleCode, expression: str) -> str:
        """The values in their order, as something to iterate over."""
        if self.style is not Style.DATACLASS:
            return f"{expression}.values()"
        values = ", ".join(self.access(code, expression, index) for index in range(len(self.names)))
        return f"({values})"

    @property
    def num_values(self) -> int:
        return len(self.names)
