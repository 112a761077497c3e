"""How the values are written by name: by constants, by literal keys, or as attributes (`output-style`)."""

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
    TYPED_DICT = "typed-dict"
    DATACLASS = "dataclass"

    @property
    def has_class(self) -> bool:
        """Whether outputs get a class of their own."""
        return self in (Style.TYPED_DICT, Style.DATACLASS)


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of one output's values and how a file writes them."""

    names: tuple[str, ...]
    spelling: Callable[[ModuleCode, int], str]
    is_attribute: bool = False
    """Whether the values are attributes of an object instead of items of a dict."""
    maker: Callable[[ModuleCode], str] | None = None
    """How a file writes the class whose call takes the place of a dict's display."""
    noun: str = "dict"
    """What the output is, for docstrings."""
    written: dict[ModuleCode, set[int]] = field(default_factory=lambda: defaultdict(set))
    """The keys that each file has come to use."""

    def refer(self, code: ModuleCode, index: int) -> str:
        """The code of the key of a value in a file: `OUTPUT_MU`, `"mu"`."""
        self.written[code].add(index)
        return self.spelling(code, index)

    def access(self, code: ModuleCode, expression: str, index: int) -> str:
        """The value of that index of an output: `outputs[OUTPUT_MU]`, `outputs.mu`."""
        key = self.refer(code, index)
        return f"{expression}.{key}" if self.is_attribute else f"{expression}[{key}]"

    def class_of(self, code: ModuleCode) -> str:
        """How a file writes the class of the output in `isinstance`: `dict`, `VAEOutput`."""
        return self.maker(code) if self.maker is not None and self.is_attribute else "dict"

    @property
    def around(self) -> tuple[str, str]:
        """What makes an expression all of its values in their order: `outputs.values()`, `vars(outputs).values()`."""
        return ("vars(", ").values()") if self.is_attribute else ("", ".values()")

    @property
    def num_values(self) -> int:
        return len(self.names)


def literal_keys(names: tuple[str, ...]) -> Keys:
    """Keys that are written out wherever they are used."""
    return Keys(names, lambda _, index: f'"{names[index]}"')
