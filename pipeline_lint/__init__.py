"""Finds and fixes what makes PyTorch training code fragile.

>>> from pipeline_lint import check_source
>>> report = check_source("import torch\\nloss = torch.log(torch.sigmoid(x))\\n")
>>> [diagnostic.code for diagnostic in report.diagnostics]
['TRN201']

Importing this package imports neither torch nor LibCST.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_lint.diagnostic import Report

__version__ = "0.1.0"
__all__ = ["__version__", "check_paths", "check_source", "fix_paths"]


def check_paths(paths: Iterable[str | Path], **settings: Any) -> Report:
    """Checks files and folders as `pipeline-lint check` does, each under its nearest configuration.

    `settings` are fields of `config.Settings`, which override the configuration: `select=("TRN2",)`.

    Raises `config.ConfigError` for a configuration that cannot be used.
    """
    from pipeline_lint.api import check_paths as check

    return check(paths, **settings)


def fix_paths(paths: Iterable[str | Path], *, unsafe: bool = False, **settings: Any) -> Report:
    """Fixes files as `pipeline-lint fix` does and reports what remains; `changed_paths` names the files written.

    Raises `config.ConfigError` for a configuration that cannot be used.
    """
    from pipeline_lint.api import fix_paths as fix

    return fix(paths, unsafe=unsafe, **settings)


def check_source(code: str | bytes, *, filename: str = "<string>", **settings: Any) -> Report:
    """Checks code that is in memory, under no configuration but `settings`."""
    from pipeline_lint.api import check_source as check

    return check(code, filename=filename, **settings)
