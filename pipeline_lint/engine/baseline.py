"""Known findings that are not reported again, so that a project can begin with only what is new.

A finding is known by its file, its rule and the text of its line, not by the line's number, so that code above it may
come and go. Two alike findings in one file count as two.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_lint.config import ConfigError
from pipeline_lint.diagnostic import Diagnostic

_VERSION = 1

Known = tuple[str, str, str]
"""File relative to the baseline's folder, rule code, text of the line."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The findings that a project already had."""

    path: Path
    counts: Counter[Known]

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Reads a baseline. Raises `ConfigError` for a file that is none."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["version"] != _VERSION:
                raise ConfigError(f"{path}: baseline of version {content['version']!r}, this tool reads {_VERSION}")
            counts = Counter({(e["path"], e["code"], e["line"]): int(e["count"]) for e in content["findings"]})
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such baseline; make it with `check --write-baseline {path}`") from None
        except OSError as error:
            raise ConfigError(f"{path}: the baseline cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: not a baseline ({error}); make it with `check --write-baseline`") from None
        return cls(path, counts)

    @classmethod
    def of(cls, diagnostics: Iterable[Diagnostic], path: Path) -> Baseline:
        """The baseline that knows exactly these findings."""
        return cls(path, Counter(_known(diagnostic, path) for diagnostic in diagnostics))

    def save(self) -> None:
        """Writes the file, sorted, one finding a line: made to be committed and to merge."""
        entries = [
            json.dumps({"path": path, "code": code, "line": line, "count": count}, ensure_ascii=False)
            for (path, code, line), count in sorted(self.counts.items())
        ]
        body = ",\n    ".join(entries)
        text = f'{{\n  "version": {_VERSION},\n  "findings": [\n    {body}\n  ]\n}}\n'
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.path)

    def without_known(self, diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
        """The findings that are new."""
        left = Counter(self.counts)
        new = []
        for diagnostic in diagnostics:
            known = _known(diagnostic, self.path)
            if left[known] > 0:
                left[known] -= 1
            else:
                new.append(diagnostic)
        return new


def _known(diagnostic: Diagnostic, baseline: Path) -> Known:
    relative = os.path.relpath(Path(diagnostic.path).absolute(), baseline.absolute().parent)
    return Path(relative).as_posix(), diagnostic.code, line_text(diagnostic)


def line_text(diagnostic: Diagnostic) -> str:
    """The first line of a finding, stripped."""
    place = diagnostic.place
    if place.excerpt is None:
        return ""
    return place.excerpt.lines[place.location.row - place.excerpt.first_row].strip()
