"""Golden files, and `--update-goldens`, which writes them anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"

CompareWithGolden = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write tests/reporters/golden/ from today's output")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder: none of the files that the reports speak of exists."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI_PROJECT_DIR", raising=False)
    return tmp_path


@pytest.fixture
def compare_with_golden(request: pytest.FixtureRequest, folder: Path) -> CompareWithGolden:
    """Fails unless the output is the golden file's content; `/project` stands there for the current folder."""

    def compare(name: str, output: str) -> None:
        path = GOLDEN / name
        output = output.replace(str(folder), "/project")
        if request.config.getoption("--update-goldens", default=False):
            path.write_bytes(output.encode())
        assert output == path.read_bytes().decode(), (
            f"if this is meant: pytest {Path(__file__).parent} --update-goldens"
        )

    return compare
