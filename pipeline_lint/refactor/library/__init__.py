"""What calls to code outside the project do with models, datasets and outputs: one file for each kind of code.

A function of a library is an entry in the `HANDLERS` of the file that it belongs to, beside what handles it; `calls`
asks them all.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline_lint.refactor.tokens import Value

if TYPE_CHECKING:
    from pipeline_lint.refactor.calling import Arguments
    from pipeline_lint.refactor.evaluation import Evaluation

Handler = Callable[["Evaluation", "Arguments", ast.AST], Value]
"""Told of a call; gives its result."""
