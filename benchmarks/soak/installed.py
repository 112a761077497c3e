"""The Python files of this environment: the standard library and everything installed."""

from __future__ import annotations

import random
import shutil
import sysconfig
from collections.abc import Sequence
from pathlib import Path

SUFFIXES = (".py", ".pyi", ".ipynb")
_LARGEST_IN_SAMPLE_BYTES = 100_000
_VISIBLE = {"site-packages": "packages", "dist-packages": "packages"}
"""Names for folders that the checker leaves out; the standard library's folder may hold packages, too."""


def installed_files() -> list[Path]:
    """All of them, in a stable order."""
    folders = {Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "purelib", "platlib")}
    files = {path for folder in folders for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file()}
    return sorted(files)


def sample_of(files: Sequence[Path], *, size: int, seed: int) -> list[Path]:
    """Files of moderate size drawn by chance, half of them from those that import torch, if there are so many."""
    chance = random.Random(seed)
    shuffled = [path for path in files if path.stat().st_size < _LARGEST_IN_SAMPLE_BYTES]
    chance.shuffle(shuffled)
    with_torch: list[Path] = []
    for path in shuffled:
        if len(with_torch) == size // 2:
            break
        if b"import torch" in path.read_bytes():
            with_torch.append(path)
    taken = set(with_torch)
    others = [path for path in shuffled if path not in taken]
    return sorted([*with_torch, *others[: size - len(with_torch)]])


def copy_files(files: Sequence[Path], into: Path) -> None:
    """Copies contents only, to where no virtual environment's name hides them from the checker."""
    roots = {Path(sysconfig.get_path("stdlib")).resolve(): "stdlib"}
    roots |= {Path(sysconfig.get_path(key)).resolve(): "installed" for key in ("purelib", "platlib")}
    # The folder of packages often lies below the standard library's: the deepest that fits is meant.
    ordered = sorted(roots, key=lambda root: -len(root.parts))
    for path in files:
        root = next(root for root in ordered if path.is_relative_to(root))
        parts = [_VISIBLE.get(part, part) for part in path.relative_to(root).parts]
        target = into.joinpath(roots[root], *parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def files_below(folder: Path) -> list[Path]:
    """The Python files of a folder and those in it, in a stable order."""
    return sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())


def copy_tree(folder: Path, into: Path, files: Sequence[Path] | None = None) -> None:
    """Copies the Python files below a folder, folders included; all of them, or those that are given."""
    for path in files_below(folder) if files is None else files:
        target = into / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
