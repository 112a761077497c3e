"""What changes in a file, as a patch that `git apply` takes."""

from __future__ import annotations

import difflib
import os

_ESCAPES = {"\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r"}
_ESCAPES |= {'"': '\\"', "\\": "\\\\"}
_NO_NEWLINE = "\n\\ No newline at end of file\n"


def unified_diff(path: str, old: bytes, new: bytes) -> str:
    """The patch from `old` to `new`; empty when they are the same.

    The text is to be written as UTF-8 with `surrogateescape`, which gives back the bytes of any encoding.
    """
    if old == new:
        return ""
    # Git's lines end at line feeds alone: a carriage return belongs to the line.
    lines = difflib.unified_diff(_lines(old), _lines(new), _name("a", path), _name("b", path))
    return "".join(line if line.endswith("\n") else line + _NO_NEWLINE for line in lines)


def _lines(data: bytes) -> list[str]:
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    last = lines.pop()
    return [line + "\n" for line in lines] + ([last] if last else [])


def _name(side: str, path: str) -> str:
    """The file's name as git writes it: quoted when it needs it, and closed by a tab when it holds a space."""
    name = f"{side}/{path.replace(os.sep, '/').lstrip('/').removeprefix('./')}"
    if any(character in _ESCAPES or character < " " or character == "\x7f" for character in name):
        return '"' + "".join(_escaped(character) for character in name) + '"'
    return f"{name}\t" if " " in name else name


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return f"\\{ord(character):03o}" if character < " " or character == "\x7f" else character
