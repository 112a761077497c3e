"""The files to measure on, copied out of the corpus to a folder that no configuration or ignore file reaches."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.corpus.download import fetch, pinned_packages, source_files

REPOSITORY = Path(__file__).parents[2]
NUM_WARM_FILES = 1000
NUM_LARGEST = 40
MEMORY_STEPS = (200, 400, 800)

_SMALL_FILE = '''"""A file such as a commit touches."""

import torch
from torch import nn


class Head(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, 10)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(self.linear(features), dim=-1)
'''


@dataclass(frozen=True, slots=True)
class Inputs:
    """Folders and files below one temporary folder."""

    timm: Path
    timm_parsed: Path
    """Names of the files of `timm` that the checker parses, one a line."""
    warm: Path
    memory: dict[int, Path]
    """Folders of so many files; each holds the files of the smaller ones."""
    small_file: Path


def prepare_inputs(folder: Path) -> Inputs:
    """Copies the inputs below `folder`. Raises `DownloadError` where a package cannot be had."""
    timm = folder / "timm"
    shutil.copytree(fetch(pinned_packages(["timm"])[0]) / "timm", timm)
    names = pinned_packages(["timm", "kornia", "torchmetrics", "monai", "pytorch-lightning"])
    files = [path for package in names for path in source_files(fetch(package))]
    random.Random(0).shuffle(files)
    # The largest files, one of which sets the floor of the memory, are the first.
    largest = sorted(files, key=lambda path: -path.stat().st_size)[:NUM_LARGEST]
    files = [*largest, *(path for path in files if path not in set(largest))]
    small = folder / "small" / "head.py"
    small.parent.mkdir()
    small.write_text(_SMALL_FILE, encoding="utf-8")
    return Inputs(
        timm=timm,
        timm_parsed=_parsed_list(timm, folder / "timm-parsed.txt"),
        warm=_copy(files[:NUM_WARM_FILES], folder / "warm"),
        memory={number: _copy(files[:number], folder / f"memory-{number}") for number in MEMORY_STEPS},
        small_file=small,
    )


def _copy(files: list[Path], into: Path) -> Path:
    """Numbered copies, 50 to a folder, as packages have them."""
    for number, path in enumerate(files):
        target = into / f"part{number // 50:02}" / f"{path.stem}_{number}.py"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return into


def _parsed_list(folder: Path, into: Path) -> Path:
    command = [sys.executable, "-m", "benchmarks.speed.needed", str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    into.write_text(done.stdout, encoding="utf-8")
    return into
