"""The colors of reports for people, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import click

Role = Literal["code", "strong", "quiet", "mark", "frame", "witness", "note", "help", "error", "success", "old", "new"]

_STYLES: dict[Role, dict[str, Any]] = {
    "code": {"fg": "bright_red", "bold": True},
    "strong": {"bold": True},
    "quiet": {"dim": True},
    "mark": {"fg": "cyan"},
    "frame": {"fg": "bright_blue", "bold": True},
    "witness": {"fg": "bright_yellow", "bold": True},
    "note": {"fg": "bright_blue", "bold": True},
    "help": {"fg": "bright_cyan", "bold": True},
    "error": {"fg": "bright_magenta", "bold": True},
    "success": {"fg": "bright_green", "bold": True},
    "old": {"fg": "red"},
    "new": {"fg": "green"},
}


@dataclass(frozen=True, slots=True)
class Palette:
    """Styles text by what it means; without color it stays as it is."""

    color: bool

    def paint(self, role: Role, text: str) -> str:
        """The text with the escape codes of its role, if there is color and anything to see."""
        return click.style(text, **_STYLES[role]) if self.color and text else text
