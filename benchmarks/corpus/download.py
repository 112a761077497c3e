"""Brings the sources of the pinned packages here, without building, installing or importing them.

`packages.txt` pins each package to one archive by its hash, in the form that pip reads and checks.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

LOCK = Path(__file__).with_name("packages.txt")
FOLDER = Path(__file__).with_name("packages")

_SUFFIXES = (".py", ".pyi", ".ipynb")
_DONE = ".complete"


class DownloadError(Exception):
    """A package cannot be had; the text says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Package:
    """One line of `packages.txt`."""

    name: str
    version: str
    requirement: str
    """The whole line, hash included."""

    @property
    def folder(self) -> Path:
        return FOLDER / f"{self.name}-{self.version}"

    @property
    def is_here(self) -> bool:
        marker = self.folder / _DONE
        return marker.is_file() and marker.read_text(encoding="utf-8") == self.requirement


def pinned_packages(names: Iterable[str] = ()) -> list[Package]:
    """The packages of the lock, or those of them that are named. Raises `DownloadError` for a name not in it."""
    packages = {}
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, rest = line.partition("==")
            packages[name] = Package(name, rest.split()[0], line)
    wanted = list(names) or list(packages)
    for name in wanted:
        if name not in packages:
            raise DownloadError(f"{LOCK}: no package {name!r} there; it has {', '.join(packages)}")
    return [packages[name] for name in wanted]


def fetch(package: Package) -> Path:
    """The folder with the package's sources, downloaded unless it is there. Raises `DownloadError`."""
    if package.is_here:
        return package.folder
    shutil.rmtree(package.folder, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as temporary:
        archive = _download(package, Path(temporary))
        for path, data in _sources(archive):
            target = package.folder.joinpath(*path.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    (package.folder / _DONE).write_text(package.requirement, encoding="utf-8")
    return package.folder


def source_files(folder: Path) -> list[Path]:
    """The Python files below a folder, in a stable order."""
    return sorted(path for path in folder.rglob("*.py") if path.is_file())


def _download(package: Package, into: Path) -> Path:
    pins = into / "pins.txt"
    pins.write_text(package.requirement + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # For a source archive pip asks setup.py for the metadata; in isolation it would first install all that a build of
    # the package needs, torch included.
    command += ["--ignore-requires-python", "--no-build-isolation", "--require-hashes", "-r", str(pins)]
    done = subprocess.run([*command, "-d", str(into)], capture_output=True, text=True, check=False)
    archives = [path for path in into.iterdir() if path != pins]
    if done.returncode != 0 or len(archives) != 1:
        raise DownloadError(
            f"{package.name}=={package.version}: `pip download` failed (exit code {done.returncode}); "
            f"run again when the package index answers, or leave the package out with --packages\n{done.stderr}"
        )
    return archives[0]


def _sources(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The Python files and notebooks of a wheel or source archive; anything with an odd path is passed over."""
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                if _is_wanted(PurePosixPath(name)):
                    yield PurePosixPath(name), wheel.read(name)
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() and _is_wanted(PurePosixPath(member.name)) else None
            if content is not None:
                yield PurePosixPath(member.name), content.read()


def _is_wanted(path: PurePosixPath) -> bool:
    return path.suffix in _SUFFIXES and not path.is_absolute() and ".." not in path.parts
