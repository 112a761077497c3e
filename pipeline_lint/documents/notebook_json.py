"""Where the code of a notebook stands in its JSON, to the character.

Values are decoded by the standard library; only the way down to each cell's `source` is walked here, because it alone
tells at which character a string begins. Of keys that occur twice the last counts, as everywhere in JSON for Python.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline_lint.document import UnreadableDocument

_decode: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().raw_decode
_SPACE = re.compile(r"[ \t\n\r]*")
_CHARACTER = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Literal:
    """A JSON string: where its characters stand, quotes not included, and what they spell."""

    start: int
    end: int
    value: str

    def raw_offset(self, json_text: str, offset: int) -> int:
        """Where a character of the value is written."""
        if self.end - self.start == len(self.value):
            return self.start + offset
        position = self.start
        for _ in range(offset):
            match = _CHARACTER.match(json_text, position)
            assert match is not None
            position = match.end()
        return position


@dataclass(frozen=True, slots=True)
class CellSource:
    """The `source` of one code cell."""

    number: int
    """The cell's place among all cells, from 1."""
    literals: tuple[Literal, ...]
    """One string, or one for each line."""
    is_list: bool

    @property
    def value(self) -> str:
        return "".join(literal.value for literal in self.literals)


def read_sources(json_text: str) -> list[CellSource]:
    """The code cells of a notebook of format 4; none where its language is another than Python.

    Raises `UnreadableDocument` for what is no such notebook.
    """
    try:
        notebook = _read_notebook(json_text)
    except json.JSONDecodeError as error:
        raise UnreadableDocument(f"not JSON: {error.msg}", row=error.lineno, column=error.colno) from None
    except RecursionError:
        raise UnreadableDocument("JSON nested too deeply") from None
    version = notebook.get("nbformat")
    if type(version) is not int or not isinstance(cells := notebook.get("cells", []), list):
        raise UnreadableDocument("JSON, but not a notebook: it lacks the number `nbformat` or the list `cells`")
    if version < 4:
        raise UnreadableDocument(
            f"notebook format {version} is too old; `jupyter nbconvert --to notebook --inplace` writes format 4"
        )
    if version > 4:
        raise UnreadableDocument(f"notebook format {version} is newer than 4, the newest that is known here")
    if not _is_python(notebook.get("metadata")):
        return []
    return [
        CellSource(number, *source)
        for number, cell in enumerate(cells, start=1)
        if (source := _code_of(cell)) is not None
    ]


def _code_of(cell: Any) -> tuple[tuple[Literal, ...], bool] | None:
    if not isinstance(cell, dict) or cell.get("cell_type") != "code":
        return None
    metadata = cell.get("metadata")
    editor = metadata.get("vscode") if isinstance(metadata, dict) else None
    if isinstance(editor, dict) and editor.get("languageId", "python") != "python":
        return None
    source = cell.get("source")
    if isinstance(source, Literal):
        return (source,), False
    if isinstance(source, list) and all(isinstance(line, Literal) for line in source):
        return tuple(source), True
    raise UnreadableDocument("JSON, but not a notebook: the `source` of a code cell is neither text nor a list of it")


def _is_python(metadata: Any) -> bool:
    """Whether the cells are Python, which a notebook that does not say so is taken for."""
    if not isinstance(metadata, dict):
        return True
    for section, key in (("language_info", "name"), ("kernelspec", "language")):
        place = metadata.get(section)
        language = place.get(key) if isinstance(place, dict) else None
        if isinstance(language, str) and language:
            return language.lower() in ("python", "python3", "ipython", "ipython3")
    return True


def _read_notebook(text: str) -> dict[str, Any]:
    start = _skip_space(text, text.startswith("\ufeff"))
    notebook, end = _object(text, start, lambda key: _cells if key == "cells" else _decode)
    end = _skip_space(text, end)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return notebook


def _cells(text: str, at: int) -> tuple[Any, int]:
    return _array(text, at, _cell) if text.startswith("[", at) else _decode(text, at)


def _cell(text: str, at: int) -> tuple[Any, int]:
    if not text.startswith("{", at):
        return _decode(text, at)
    return _object(text, at, lambda key: _source if key == "source" else _decode)


def _source(text: str, at: int) -> tuple[Any, int]:
    return _array(text, at, _literal) if text.startswith("[", at) else _literal(text, at)


def _literal(text: str, at: int) -> tuple[Any, int]:
    value, end = _decode(text, at)
    return (Literal(at + 1, end - 1, value) if isinstance(value, str) else value), end


_Read = Callable[[str, int], tuple[Any, int]]


def _object(text: str, at: int, reader_of: Callable[[str], _Read]) -> tuple[dict[str, Any], int]:
    at = _after(text, at, "{")
    members: dict[str, Any] = {}
    if text.startswith("}", at):
        return members, at + 1
    while True:
        if not text.startswith('"', at):
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        key, at = _decode(text, at)
        at = _after(text, _skip_space(text, at), ":")
        members[key], at = reader_of(key)(text, at)
        at = _skip_space(text, at)
        if text.startswith("}", at):
            return members, at + 1
        at = _after(text, at, ",")


def _array(text: str, at: int, read: _Read) -> tuple[list[Any], int]:
    at = _after(text, at, "[")
    elements: list[Any] = []
    if text.startswith("]", at):
        return elements, at + 1
    while True:
        element, at = read(text, at)
        elements.append(element)
        at = _skip_space(text, at)
        if text.startswith("]", at):
            return elements, at + 1
        at = _after(text, at, ",")


def _after(text: str, at: int, mark: str) -> int:
    """Where the next value or key begins."""
    if not text.startswith(mark, at):
        raise json.JSONDecodeError(f"Expecting '{mark}'", text, at)
    return _skip_space(text, at + len(mark))


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
