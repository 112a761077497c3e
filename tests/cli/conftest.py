"""Calling the command line, in this process for speed; `tests/cli/test_process.py` starts real ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from pipeline_lint.cli import main


@pytest.fixture
def lint() -> Callable[..., Result]:
    """Runs `pipeline-lint` with the given words; the result has `stdout`, `stderr` and `exit_code`."""

    def run(*words: str, stdin: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(main, words, input=stdin, prog_name="pipeline-lint")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run
