"""Objects that are saved, and come back where something is loaded."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from pipeline_lint.refactor.calling import Arguments
from pipeline_lint.refactor.library import Handler
from pipeline_lint.refactor.tokens import (
    JUST_OPAQUE,
    Box,
    Instance,
    Value,
    is_output,
)

if TYPE_CHECKING:
    from pipeline_lint.refactor.evaluation import Evaluation


SAVING = re.compile(r"(^torch\.save|\.dumps?|^numpy\.save\w*)$")


_SAVED = ("saved", "load")
"""The cell of all objects that are saved: of interest to whoever mentions `load`."""


def save(evaluation: Evaluation, value: Value, argument: ast.expr, receiver: str) -> None:
    """Notes outputs that are saved, alone or within something; objects come back where something is loaded."""
    machine = evaluation.machine
    for token in value:
        if isinstance(token, Instance):
            machine.write(_SAVED, frozenset({token}))
        elif isinstance(token, Box):
            inside = machine.read_items(token, evaluation.unit)
            outputs = frozenset(each for each in inside | {token} if is_output(each))
            if outputs:
                machine.uses.note("save", evaluation.code, argument, outputs, receiver)
            machine.write(_SAVED, frozenset(each for each in inside if isinstance(each, Instance)))


def _load(evaluation: Evaluation, _arguments: Arguments, _: ast.AST) -> Value:
    """`torch.load(path)`: an object that the project saves, or anything else."""
    return evaluation.machine.read(_SAVED, evaluation.unit) | JUST_OPAQUE


HANDLERS: dict[str, Handler] = dict.fromkeys(
    ["torch.load", "pickle.load", "pickle.loads", "joblib.load", "dill.load", "dill.loads"], _load
)
