"""The yardstick: a process that reads files and parses them with LibCST, and does nothing else.

`python parse_only.py LIST` with the names of the files, one a line, in LIST. With `--ranges` each file is parsed by the
checker and read by its abstract interpreter, too, and no rule is run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import libcst


def parse_files(names: list[str]) -> None:
    """Parses each file; the trees are dropped at once, as a checker drops them."""
    for name in names:
        libcst.parse_module(Path(name).read_bytes())


def analyse_files(names: list[str]) -> None:
    """Parses each file and computes the ranges of its values."""
    from pipeline_lint.documents import open_document
    from pipeline_lint.facts.ranges.analysis import Ranges
    from pipeline_lint.parsing import parse

    for name in names:
        source = parse(open_document(name, Path(name).read_bytes()))
        source.fact(Ranges)
        source.close()


if __name__ == "__main__":
    files = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    if "--ranges" in sys.argv[2:]:
        from pipeline_lint.parsing import with_deep_stack

        with_deep_stack(analyse_files, files)
    else:
        parse_files(files)
