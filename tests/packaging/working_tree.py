"""A copy of this repository as it is on the disk, committed or not, without what git ignores."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

IDENTITY = {
    "GIT_AUTHOR_NAME": "Someone",
    "GIT_AUTHOR_EMAIL": "someone@example.org",
    "GIT_COMMITTER_NAME": "Someone",
    "GIT_COMMITTER_EMAIL": "someone@example.org",
}

BUILT = (".git", ".venv", "__pycache__", "dist", "build", ".*_cache", ".hypothesis", "peers", "packages")


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what decides over git and Python from outside."""
    outside = ("GIT_", "PRE_COMMIT", "PYTHONPATH", "PYTEST_", "VIRTUAL_ENV", "SKIP")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
    return {**kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **IDENTITY, **more}


def git(folder: Path, *arguments: str) -> str:
    """What git prints, in `folder`; no identity, hook or setting of the machine takes part."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=clean_environment(), capture_output=True, text=True, check=True
    )
    return done.stdout


def copy_working_tree(target: Path) -> None:
    """Copies the files that git knows or would add; everything but what is built where there is no git repository."""
    try:
        listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    except subprocess.CalledProcessError:
        shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*BUILT))
        return
    for name in listed:
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def without_package_index(reason: str) -> None:
    """Skips the test that needs a package index, but not where all tests are meant to run."""
    lines = reason.strip().splitlines()
    message = f"no package index: {lines[-1] if lines else 'pip failed'}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
