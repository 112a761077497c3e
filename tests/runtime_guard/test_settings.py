"""Settings come from pyproject.toml and the environment, and what cannot be used is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runtime_guard import Settings, SettingsError

Project = Callable[..., Path]


def test_the_nearest_table_counts(project: Project) -> None:
    folder = project({"pyproject.toml": "[tool.runtime-guard]\nmax-skips = 7\n", "inner/pyproject.toml": "[tool.x]\n"})
    assert Settings.load(folder / "inner", {}).max_skips == 7


def test_without_a_table_the_defaults_count(project: Project) -> None:
    assert Settings.load(project(), {}) == Settings()


@pytest.mark.parametrize(("word", "is_enabled"), [("off", False), ("0", False), ("ON", True), ("", True)])
def test_the_environment_has_the_last_word(project: Project, word: str, is_enabled: bool) -> None:
    folder = project({"pyproject.toml": f"[tool.runtime-guard]\nenabled = {str(not is_enabled).lower()}\n"})
    assert Settings.load(folder, {"RUNTIME_GUARD": word}).enabled is is_enabled


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("max-skip = 7", "there is no setting 'max-skip'; did you mean 'max-skips'?"),
        ("colour = 7", "there is no setting 'colour'; known are enabled, policy"),
        ("policy = 'skipp'", "policy = 'skipp' is unknown; did you mean 'skip'?"),
        ("max-skips = 'many'", "max-skips = 'many' is a str, expected a int"),
        ("max-skips = true", "max-skips = True is a bool, expected a int"),
        ("history = 0", "history = 0 is too small, expected 1 or more"),
    ],
)
def test_what_cannot_be_used_is_said_with_file_and_key(project: Project, line: str, message: str) -> None:
    folder = project({"pyproject.toml": f"[tool.runtime-guard]\n{line}\n"})
    with pytest.raises(SettingsError) as caught:
        Settings.load(folder, {})
    assert message in str(caught.value)
    assert str(folder / "pyproject.toml") in str(caught.value)


def test_a_word_that_is_neither_on_nor_off_is_an_error(project: Project) -> None:
    with pytest.raises(SettingsError, match="RUNTIME_GUARD='maybe' in the environment: expected on or off"):
        Settings.load(project(), {"RUNTIME_GUARD": "maybe"})


def test_a_broken_file_is_an_error_that_names_it(project: Project) -> None:
    folder = project({"pyproject.toml": "[tool.runtime-guard\n"})
    with pytest.raises(SettingsError, match=r"pyproject\.toml cannot be read"):
        Settings.load(folder, {})
