"""Loaders, datasets of datasets, and frameworks that train: their batches get to where they call."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from pipeline_lint.refactor import calling
from pipeline_lint.refactor.calling import Arguments
from pipeline_lint.refactor.containers import elements_of
from pipeline_lint.refactor.library import Handler, iteration
from pipeline_lint.refactor.tokens import (
    EMPTY,
    JUST_NOTHING,
    JUST_OPAQUE,
    NOTHING,
    Box,
    Instance,
    Value,
)

if TYPE_CHECKING:
    from pipeline_lint.refactor.evaluation import Evaluation


PREPARE = re.compile(r"(^|\.)(Accelerator\(\)\.prepare|initialize|Fabric\(\)\.setup)$")


TRAINER = re.compile(r"Trainer\(\)\.(fit|validate|test|predict)$")


_LOADERS = re.compile(r"(^|\.)(DataLoader|StatefulDataLoader|MultiEpochsDataLoader|DataListLoader)$")


def prepare(evaluation: Evaluation, path: str, arguments: Arguments, node: ast.AST) -> Value:
    """Accelerate and the like give back what they are given: one thing, or a tuple of all."""
    values = arguments.values or list(arguments.keywords.values())
    for value in values:
        for token in value:
            if isinstance(token, Instance):
                evaluation.machine.uses.wrapped.setdefault(token.info, set()).add(path)
    if len(values) == 1:
        return values[0]
    box = evaluation.machine.box("tuple", evaluation.code, node, num_values=len(values))
    for index, value in enumerate(values):
        evaluation.machine.write_item(box, index, value)
    return frozenset({box})


def _loader(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    """A `DataLoader` gives what its dataset does, collated: a dict stays a dict of the same keys."""
    machine = evaluation.machine
    dataset = arguments.get(0, "dataset")
    samples = elements_of(evaluation, dataset, None)
    collate = frozenset(token for token in arguments.get(6, "collate_fn") if token is not NOTHING)
    box = machine.box("loader", evaluation.code, node)
    machine.write(("dataset", box), dataset)
    if collate:
        batch = machine.box("list", evaluation.code, node, part="samples")
        machine.write_item(batch, None, samples)
        blank = calling.placeholder(node)
        samples = calling.call(evaluation, collate, calling.Arguments([frozenset({batch})], [blank]), node)
    machine.write_item(box, None, samples)
    return frozenset({box})


def _concatenated(evaluation: Evaluation, arguments: Arguments, _: ast.AST) -> Value:
    return elements_of(evaluation, arguments.values[0], None) if arguments.values else arguments.rest


def _split(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    box = evaluation.machine.box("list", evaluation.code, node)
    evaluation.machine.write_item(box, None, arguments.get(0, "dataset"))
    return frozenset({box})


_STEPS = {
    "fit": (
        ("training_step", "train_dataloaders", 1, "train_dataloader"),
        ("validation_step", "val_dataloaders", 2, "val_dataloader"),
    ),
    "validate": (("validation_step", "dataloaders", 1, "val_dataloader"),),
    "test": (("test_step", "dataloaders", 1, "test_dataloader"),),
    "predict": (("predict_step", "dataloaders", 1, "predict_dataloader"),),
}


def train(evaluation: Evaluation, path: str, arguments: Arguments, node: ast.AST) -> Value:
    """Lightning's trainer gives the batches of loaders and data modules to the steps of a module."""
    from pipeline_lint.refactor.expressions import attribute_of

    machine = evaluation.machine
    results: Value = EMPTY
    for model in arguments.get(0, "model"):
        if not isinstance(model, Instance):
            continue
        for step, keyword, position, method in _STEPS[path.rpartition(".")[2]]:
            loaders = arguments.get(position, keyword) or arguments.get(position, keyword.removesuffix("s"))
            holders = [*(arguments.keywords.get("datamodule") or EMPTY), *loaders, model]
            for holder in holders:
                if isinstance(holder, Instance) and machine.method(holder.info, method):
                    found = attribute_of(evaluation, holder, method)
                    loaders |= calling.call(evaluation, found, calling.Arguments([], []), node)
                    for hook in ("setup", "prepare_data"):
                        if machine.method(holder.info, hook):
                            calling.call(
                                evaluation,
                                attribute_of(evaluation, holder, hook),
                                calling.Arguments([JUST_OPAQUE], [calling.placeholder(node)]),
                                node,
                            )
            batches = _batches(evaluation, loaders)
            blank = calling.placeholder(node)
            function = machine.method(model.info, step)
            if function is not None:
                given = calling.Arguments([batches, JUST_NOTHING, JUST_NOTHING], [blank, blank, blank])
                results |= calling.call_function(evaluation, function, frozenset({model}), given)
            elif step == "predict_step":
                given = calling.Arguments([batches], [blank])
                results |= calling.call_instance(evaluation, model, model.info, given, node)
    return iteration.iterator(evaluation, node, results) if path.endswith("predict") else JUST_OPAQUE


def _batches(evaluation: Evaluation, loaders: Value) -> Value:
    """The batches of a loader, or of each of several."""
    items: Value = EMPTY
    for token in loaders:
        if isinstance(token, Box) and token.kind in ("list", "tuple", "dict"):
            items |= _batches(evaluation, evaluation.machine.read_items(token, evaluation.unit))
        elif not isinstance(token, Instance):
            items |= elements_of(evaluation, frozenset({token}), None)
    return items


def note_wrapped(evaluation: Evaluation, path: str, arguments: Arguments) -> None:
    """Remembers what wraps a model: some wrappers take outputs apart."""
    for token in arguments.get(0, "module") | arguments.get(0, "model"):
        if isinstance(token, Instance):
            evaluation.machine.uses.wrapped.setdefault(token.info, set()).add(path)


HANDLERS: dict[str, Handler] = {
    "torch.utils.data.ConcatDataset": _concatenated,
    "torch.utils.data.ChainDataset": _concatenated,
    "torch.utils.data.random_split": _split,
    "torch.utils.data.dataset.random_split": _split,
}
BY_PATTERN: tuple[tuple[re.Pattern[str], Handler], ...] = ((_LOADERS, _loader),)
