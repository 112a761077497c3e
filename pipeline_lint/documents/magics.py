"""IPython's own syntax in notebook cells, blanked out so that what is left is Python.

Every replacement is as long as what it replaces: offsets, rows and columns stay. A command becomes the name `_` and a
comment: `%matplotlib inline` becomes `_#atplotlib inline`, whose value nothing is known of.
"""

from __future__ import annotations

import re

PYTHON_CELL_MAGICS = frozenset("capture debug prun time timeit".split())
"""Cell magics whose cell is Python that runs in the notebook's own namespace."""

_CELL_MAGIC = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*(%%)(\w*)")
_INSTALLER = r"(?:pip3?|uv|conda|mamba)[ \t]+(?:pip|install|uninstall|add|remove|list|show|freeze|update|upgrade)\b"
"""The commands that people write without a `%` in front, and IPython runs all the same."""
_HINT = re.compile(rf"^[ \t]*(?:[%!?/,;]|{_INSTALLER})|=[ \t]*[%!]|\?[ \t]*(?:#.*)?$", re.MULTILINE)
_COMMAND = re.compile(rf"[ \t]*(?=[%!?/,;]|{_INSTALLER})")
_TOKEN = re.compile(
    r"""
    (?P<comment>\#[^\n]*)
    | (?P<string>\"{3}(?:[^"\\]|\\.|"(?!""))*(?:\"{3}|\Z) | '{3}(?:[^'\\]|\\.|'(?!''))*(?:'{3}|\Z)
        | "(?:[^"\\\n]|\\.)*"? | '(?:[^'\\\n]|\\.)*'?)
    | (?P<open>[(\[{]) | (?P<close>[)\]}])
    | (?P<assignment>(?<![=!<>])=(?=[ \t]*[%!](?!=)))
    | (?P<continuation>\\\r?\n)
    | (?P<newline>\n)
    | (?P<question>\?)
    """,
    re.VERBOSE | re.DOTALL,
)


def blank_magics(cell: str) -> str | None:
    """The cell as Python of the same length; None for a cell that a magic takes as something else: `%%bash`."""
    if "%" not in cell and not _HINT.search(cell):
        return cell
    start = 0
    while magic := _CELL_MAGIC.match(cell, start):
        if magic[2] not in PYTHON_CELL_MAGICS:
            return None
        start = _end_of_command(cell, magic.start(1))
        cell = cell[: magic.start(1)] + _blank(cell[magic.start(1) : start]) + cell[start:]
    if not _HINT.search(cell):
        return cell
    pieces: list[str] = []
    done = 0
    for first, last in _commands(cell, start):
        pieces += [cell[done:first], _blank(cell[first:last])]
        done = last
    return "".join([*pieces, cell[done:]])


def _commands(cell: str, start: int) -> list[tuple[int, int]]:
    """Where IPython's syntax stands, one stretch for each statement that has any."""
    found: list[tuple[int, int]] = []
    is_first = True
    while start < len(cell):
        command = _COMMAND.match(cell, start)
        if command:
            end = _end_of_command(cell, command.end())
            # IPython takes away the indentation of a cell's first line.
            found.append((start if is_first else command.end(), end))
        else:
            first, end = _scan_statement(cell, start)
            if first is not None:
                found.append((first, end))
        is_first = is_first and not cell[start:end].strip()
        start = end + 1
    return found


def _scan_statement(cell: str, start: int) -> tuple[int | None, int]:
    """Where a statement's IPython part begins, if it has one, and the end of its last line."""
    depth = 0
    for token in _TOKEN.finditer(cell, start):
        match token.lastgroup:
            case "open":
                depth += 1
            case "close":
                depth = max(depth - 1, 0)
            case "assignment" if depth == 0:
                first = re.compile("[%!]").search(cell, token.end())
                assert first is not None
                return first.start(), _end_of_command(cell, first.start())
            case "question" if not cell[token.end() : _end_of_line(cell, token.end())].partition("#")[0].strip(" ?;\r"):
                line = cell.rfind("\n", start, token.start()) + 1 or start
                line += len(cell[line:]) - len(cell[line:].lstrip(" \t"))
                return line, _end_of_line(cell, token.start())
            case "newline" if depth == 0:
                return None, token.start()
    return None, len(cell)


def _end_of_line(cell: str, start: int) -> int:
    end = cell.find("\n", start)
    return len(cell) if end < 0 else end


def _end_of_command(cell: str, start: int) -> int:
    """The end of the line, or of the last of the lines that backslashes join."""
    end = _end_of_line(cell, start)
    while end < len(cell) and cell[start:end].rstrip("\r").endswith("\\"):
        start, end = end + 1, _end_of_line(cell, end + 1)
    return end


def _blank(command: str) -> str:
    first, *continued = command.split("\n")
    lines = [_comment_out("_", first[1:]), *(_comment_out("", line) for line in continued)]
    return "\n".join(lines)


def _comment_out(before: str, line: str) -> str:
    """A line whose first character gives way to `#`; its carriage return stays."""
    return before + ("#" + line[1:] if line.rstrip("\r") else line)
