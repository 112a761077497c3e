"""The yardstick: a process that reads files and parses them with LibCST, and does nothing else.

`python parse_only.py LIST` with the names of the files, one a line, in LIST.
"""

from __future__ import annotations

import sys
from pathlib import Path

import libcst


def parse_files(names: list[str]) -> None:
    """Parses each file; the trees are dropped at once, as a checker drops them."""
    for name in names:
        libcst.parse_module(Path(name).read_bytes())


if __name__ == "__main__":
    parse_files(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines())
