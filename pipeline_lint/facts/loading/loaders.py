"""The data loaders of a file: what each loads, with how many workers, and which settings it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.names import Names, dotted_name
from pipeline_lint.facts.loops.actions import parameter_mapping
from pipeline_lint.facts.loops.roles import Roles, path_of
from pipeline_lint.facts.modules import ClassView, Modules
from pipeline_lint.source import Source

_LOADERS = frozenset(
    """torch.utils.data.DataLoader torch.utils.data.dataloader.DataLoader torch_geometric.data.DataLoader
    torch_geometric.loader.DataLoader torchdata.stateful_dataloader.StatefulDataLoader""".split()
)
_PARAMETERS = ("dataset", "batch_size", "shuffle", "sampler", "batch_sampler", "num_workers", "collate_fn")
"""In the order in which a `DataLoader` takes them."""
_SPLITS = frozenset({"torch.utils.data.Subset", "torch.utils.data.random_split", "torch.utils.data.dataset.Subset"})
_MOST_NAMES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Loader:
    """A call that makes a data loader."""

    call: cst.Call
    settings: Mapping[str, cst.BaseExpression]
    is_plain: bool
    """Whether all that it is given is written there: no `**kwargs`."""

    @property
    def num_workers(self) -> int | None:
        """None where it is no number in the code."""
        match self.settings.get("num_workers"):
            case None:
                return 0 if self.is_plain else None
            case cst.Integer() as number:
                return number.evaluated_value
        return None


class Loaders:
    """The data loaders of one file: `source.fact(Loaders)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names = source.fact(Names)
        self._roles = source.fact(Roles)
        self._classes = {view.name: view for view in source.fact(Modules).classes}
        self.all = tuple(self._read(call) for call in source.nodes(cst.Call) if self._is_loader(call))

    def of_loop(self, loop: cst.For) -> Loader | None:
        """The loader that a loop goes over, through `enumerate`, `tqdm` and parameters of its function."""
        return next(
            (loader for loader in self.all for each in self._looped(loop.iter) if self._built(each) is loader.call),
            None,
        )

    def dataset_class(self, loader: Loader) -> ClassView | None:
        """The class of this file that a loader's dataset is built by."""
        call = self.dataset_call(loader)
        return self._classes.get(dotted_name(call.func)) if call is not None else None

    def dataset_call(self, loader: Loader) -> cst.Call | None:
        """The call that builds a loader's dataset, behind splits; None where it is not plain."""
        dataset = loader.settings.get("dataset")
        built = self._built(dataset) if dataset is not None else None
        for _ in range(_MOST_NAMES):
            if built is None or self._names.resolve(built.func) not in _SPLITS or not built.args:
                break
            built = self._built(built.args[0].value)
        return built

    def _is_loader(self, call: cst.Call) -> bool:
        return called_name(call).endswith("DataLoader") and self._names.resolve(call.func) in _LOADERS

    def _read(self, call: cst.Call) -> Loader:
        settings: dict[str, cst.BaseExpression] = {}
        for index, argument in enumerate(call.args):
            if argument.keyword is not None:
                settings[argument.keyword.value] = argument.value
            elif not argument.star and index < len(_PARAMETERS):
                settings[_PARAMETERS[index]] = argument.value
        return Loader(call, settings, not any(argument.star for argument in call.args))

    def _looped(self, node: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
        """What a loop takes its batches from, as its own function names it."""
        match node:
            case cst.Call(args=[cst.Arg(value=first), *_], func=cst.Name() | cst.Attribute()):
                yield node
                yield from self._looped(first)
            case cst.Name() | cst.Attribute() | cst.Call():
                yield node

    def _built(self, node: cst.BaseExpression, depth: int = 0) -> cst.Call | None:
        """The call that gives an expression its value, by names and by what a call in this file passes."""
        if isinstance(node, cst.Call):
            return node
        path = path_of(self._source, node)
        if not path or depth > _MOST_NAMES:
            return None
        values = self._roles.values(path, node)
        if values:
            value = values[0] if len(values) == 1 else None
            return self._built(value, depth + 1) if value is not None else self._split_into(path)
        function = self._source.function_of(node)
        if not isinstance(function, cst.FunctionDef):
            return None
        built = {id(each): each for given in self._passed(function, path) if (each := self._built(given, depth + 1))}
        return next(iter(built.values())) if len(built) == 1 else None

    def _split_into(self, name: str) -> cst.Call | None:
        """The call that divides a dataset: `train_set, test_set = random_split(dataset, lengths)`."""
        for target in self._source.nodes(cst.AssignTarget):
            match target.target, self._source.parent(target):
                case cst.Tuple(elements=parts), cst.Assign(value=cst.Call() as call):
                    is_it = any(path_of(self._source, part.value) == name for part in parts)
                    if is_it and self._names.resolve(call.func) in _SPLITS:
                        return call
        return None

    def _passed(self, function: cst.FunctionDef, name: str) -> Iterator[cst.BaseExpression]:
        """What the calls of a function in this file pass for a parameter."""
        for call in self._source.nodes(cst.Call):
            if called_name(call) != function.name.value:
                continue
            path = parameter_mapping(call, function, self._source).get(name)
            yield from (each.value for each in call.args if path and path_of(self._source, each.value) == path)
