"""The tools to compare with, each at a pinned version in an environment of its own below `benchmarks/peers/`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "peers"

REQUIREMENTS = {
    "TorchFix": ("torchfix==0.7.0",),
    "Fixit": ("fixit==2.2.1", "click<8.2"),
    "flake8": ("flake8==7.5.0",),
    "ruff": ("ruff==0.17.6",),
}


class PeerError(Exception):
    """An environment cannot be made."""


def peer_python(name: str) -> Path:
    """The interpreter of a peer's environment, which is made unless it is there. Raises `PeerError`."""
    folder = FOLDER / name.lower()
    wanted = "\n".join((sys.version, *REQUIREMENTS[name]))
    marker = folder / "installed.txt"
    python = folder / "bin" / "python"
    if marker.is_file() and marker.read_text(encoding="utf-8") == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS[name]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PeerError(f"{name}: `pip install {' '.join(REQUIREMENTS[name])}` failed\n{done.stderr}")
    marker.write_text(wanted, encoding="utf-8")
    return python


def peer_command(name: str, target: Path) -> tuple[str, ...]:
    """The command that checks a folder, in one process where the tool lets one choose."""
    binary = peer_python(name).parent
    return {
        "TorchFix": (str(binary / "torchfix"), "--jobs", "1", str(target)),
        "Fixit": (str(binary / "fixit"), "lint", str(target)),
        "flake8": (str(binary / "flake8"), "--isolated", "--jobs", "1", str(target)),
        "ruff": (str(binary / "ruff"), "check", "--isolated", "--no-cache", "--no-respect-gitignore", str(target)),
    }[name]
