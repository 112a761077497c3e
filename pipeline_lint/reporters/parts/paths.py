"""Paths as programs that read reports want them."""

from __future__ import annotations

import os
from pathlib import PurePath


def absolute_path(path: str) -> str:
    """The path from the root of the file system; symbolic links stay, since resolved they name another file."""
    return os.path.abspath(path)  # noqa: PTH100 - pathlib would keep `..` or resolve links


def project_path(path: str, root: str) -> str:
    """`path` relative to `root` with forward slashes; absolute where it is not below it."""
    absolute = absolute_path(path)
    try:
        relative = os.path.relpath(absolute, root)
    except ValueError:  # another drive
        return PurePath(absolute).as_posix()
    is_below = relative != os.pardir and not relative.startswith(os.pardir + os.sep)
    return PurePath(relative if is_below else absolute).as_posix()
