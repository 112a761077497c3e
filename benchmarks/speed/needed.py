"""Which files the checker parses: it leaves out those whose words rule out a finding.

`python needed.py FOLDER` prints the names of the parsed files, one a line, found by watching LibCST's parser.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import libcst

from pipeline_lint.config import SettingsResolver
from pipeline_lint.documents import open_document
from pipeline_lint.engine.run import Checker, RunOptions


def parsed_files(files: list[str]) -> list[str]:
    """The files whose text reaches LibCST's parser in a check with the default settings."""
    texts: set[str] = set()
    parse_module = libcst.parse_module

    def watched(source: str, *args: Any, **kwargs: Any) -> libcst.Module:
        texts.add(source)
        return parse_module(source, *args, **kwargs)

    libcst.parse_module = watched  # type: ignore[assignment]
    try:
        Checker(SettingsResolver(isolated=True), RunOptions(jobs=1, use_cache=False)).check(files)
    finally:
        libcst.parse_module = parse_module
    return [name for name in files if open_document(name, Path(name).read_bytes()).text in texts]


if __name__ == "__main__":
    print("\n".join(parsed_files(sorted(map(str, Path(sys.argv[1]).rglob("*.py"))))))
