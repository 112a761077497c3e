"""`runtime-guard tensorboard` passes on what TensorBoard needs, and says what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runtime_guard import dashboard
from runtime_guard.__main__ import main


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines that TensorBoard was started with."""
    started: list[list[str]] = []
    monkeypatch.setattr(dashboard, "serve", lambda arguments: started.append(list(arguments)) or 0)
    return started


def invoked(*arguments: Any) -> Any:
    return CliRunner().invoke(main, ["tensorboard", *map(str, arguments)])


def test_a_run_is_shown_with_all_its_pictures(tmp_path: Path, served: list[list[str]]) -> None:
    (tmp_path / "events.out.tfevents.1.host").touch()
    done = invoked(tmp_path)
    assert (done.exit_code, done.output) == (0, "")
    (arguments,) = served
    assert arguments[:2] == ["--logdir", str(tmp_path)]
    assert "images=200" in arguments[arguments.index("--samples_per_plugin") + 1]


def test_options_of_tensorboard_s_own_come_last(tmp_path: Path, served: list[list[str]]) -> None:
    assert invoked(tmp_path, "--port", 0, "--reload_interval", "5").exit_code == 0
    assert served[0][-2:] == ["--reload_interval", "5"]
    assert served[0][served[0].index("--port") + 1] == "0"


def test_a_folder_without_events_is_told_and_shown_all_the_same(tmp_path: Path, served: list[list[str]]) -> None:
    done = invoked(tmp_path)
    assert f"{tmp_path} holds nothing for TensorBoard yet" in done.output
    assert served


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    done = invoked(tmp_path / "run")
    assert done.exit_code == 2
    assert f"'{tmp_path / 'run'}' does not exist" in done.output


def test_where_tensorboard_is_absent_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    done = invoked(tmp_path)
    assert done.exit_code == 1
    assert "pip install 'pipeline-lint[guard]'" in done.output
