"""Values that end in an activation: followed through names, functions, methods and modules, and from file to file.

`Origins` follows a value within one function. `Probabilities` goes on where that ends: at what a function of the file
returns, at the last layer of an `nn.Sequential`, at a parameter's arguments. Where it comes to a module or a method it
notes which; `activations_of` looks that up in the project.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Place
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.code.holders import Holders, Key, element
from pipeline_lint.facts.code.names import Names, dotted_name
from pipeline_lint.facts.code.origins import Origins, Trace
from pipeline_lint.facts.modules import LOCAL, ClassSummary, Modules
from pipeline_lint.facts.project import Project
from pipeline_lint.facts.sequentials import last_layer
from pipeline_lint.source import Source

_PARALLEL = frozenset({"torch.nn.parallel.data_parallel", "torch.nn.parallel.data_parallel.data_parallel"})
_MOST_STEPS = 12
_LAST = {
    "torch.nn.Sigmoid": "sigmoid",
    "torch.nn.Softmax": "softmax",
    "torch.nn.Softmax2d": "softmax",
    "torch.nn.LogSoftmax": "log_softmax",
    "torch.nn.Linear": "linear",
    "torch.nn.LazyLinear": "linear",
}
"""Modules that say what the values are that they give: probabilities, logarithms of them, or numbers of any sign."""


@dataclass(frozen=True, slots=True)
class Activated:
    """The last thing that is done to a value."""

    name: str
    """`sigmoid`, `softmax`, `log_softmax` or `linear`."""
    place: Place


@dataclass(frozen=True, slots=True)
class Probability:
    """An activation, or what a method of a class returns, which may be one."""

    activated: Activated | None = None
    owner: str = ""
    """Path of the class: `package.models.Net`, `:Net` for one of the same file."""
    method: str = ""
    key: Key = None
    """The element of what the method returns; a tensor may be meant as a whole, too."""


Sources = tuple[Probability, ...]
"""All that a value may come from, each an activation or a method's result; empty where there is something else."""


@dataclass(frozen=True, slots=True)
class FileProbabilities:
    """What the methods of a file's classes return, as far as it may end in an activation."""

    methods: Mapping[tuple[str, str], Mapping[Key, Sources]]
    """By class and method; then by element of the result, under None the result as a whole."""


class Probabilities:
    """The values of one file that end in an activation: `source.fact(Probabilities)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names = source.fact(Names)
        self._origins = source.fact(Origins)
        self._holders = source.fact(Holders)
        self._modules = source.fact(Modules)

    def sources(self, node: cst.BaseExpression, key: Key = None, depth: int = 0) -> Sources:
        """Where an expression, or one element of it, comes from."""
        if depth > _MOST_STEPS:
            return ()
        trace = self._origins.trace(node)
        if (trace.scale, trace.offset) != (1.0, 0.0):
            return ()
        inner = trace.inner
        activation = self._origins.activation(inner)
        if activation is not None:
            return self._ends_with(activation.name, activation.call) if activation.name in _LAST.values() else ()
        key = _last_key(trace, key)
        match inner:
            case cst.Call():
                return self._of_call(inner, key, depth + 1)
            case cst.Name() | cst.Attribute():
                held = self._holders.values(inner)
                return self._all([(each.value, key if each.key is None else each.key) for each in held], depth + 1)
            case cst.IfExp(body=body, orelse=orelse):
                return self._all([(body, key), (orelse, key)], depth + 1)
            case cst.Tuple() | cst.List() | cst.Dict():
                value = element(inner, key)
                return self.sources(value, None, depth + 1) if value is not None else ()
        return ()

    def methods(self) -> Iterator[tuple[tuple[str, str], Mapping[Key, Sources]]]:
        """The methods whose results, or elements of them, may end in an activation."""
        for view in self._modules.classes:
            for name, method in view.methods.items():
                returned = self._holders.returned(method)
                keys = dict.fromkeys(key for value in returned for key in self._keys(value))
                found = {key: self._all([(value, key) for value in returned], 0) for key in (None, *keys)}
                if any(found.values()):
                    yield (view.name, name), {key: sources for key, sources in found.items() if sources}

    def _all(self, values: Sequence[tuple[cst.BaseExpression, Key]], depth: int) -> Sources:
        """Where several values come from, all of which must be known."""
        found: dict[Probability, None] = {}
        for value, key in values:
            sources = self.sources(value, key, depth)
            if not sources:
                return ()
            found.update(dict.fromkeys(sources))
        return tuple(found)

    def _of_call(self, call: cst.Call, key: Key, depth: int) -> Sources:
        function = call.func
        if self._names.resolve(function) in _PARALLEL and call.args:
            function = call.args[0].value
        match function:
            case cst.Name(value="self"):
                return self._of_own_method(function, "forward", key)
            case cst.Name() if (made := self._holders.function(function)) is not None:
                return self._all([(value, key) for value in self._holders.returned(made)], depth)
            case cst.Attribute(attr=cst.Name(value=name)) if self._holders.method(function) is not None:
                return self._of_own_method(function, name, key)
        found = self._of_instance(function, "forward", key)
        if not found and isinstance(function, cst.Attribute):
            found = self._of_instance(function.value, function.attr.value, key)
        return found

    def _of_instance(self, module: cst.BaseExpression, method: str, key: Key) -> Sources:
        """What a method gives of a module that calls build, or that the annotation of a parameter names."""
        found = self._of_modules(self._holders.constructors(module), method, key)
        if found or not isinstance(module, cst.Name):
            return found
        annotation = self._holders.annotation(module)
        owner = self._owner(annotation) if annotation is not None else ""
        return (Probability(owner=owner, method=method, key=key),) if owner else ()

    def _of_own_method(self, at: cst.CSTNode, method: str, key: Key) -> Sources:
        view = self._modules.class_of(at)
        return (Probability(owner=LOCAL + view.name, method=method, key=key),) if view is not None else ()

    def _of_modules(self, constructors: Sequence[cst.Call], method: str, key: Key, depth: int = 0) -> Sources:
        found: dict[Probability, None] = {}
        for constructor in constructors:
            sources = self._of_module(constructor, method, key, depth)
            if not sources:
                return ()
            found.update(dict.fromkeys(sources))
        return tuple(found)

    def _of_module(self, constructor: cst.Call, method: str, key: Key, depth: int) -> Sources:
        """What a method of the module gives that a call builds."""
        path = self._names.resolve(constructor.func)
        if path in _LAST:
            return self._ends_with(_LAST[path], constructor) if method == "forward" else ()
        if path == "torch.nn.Sequential":
            last = last_layer(self._source, constructor)
            if last is None or method != "forward" or depth > _MOST_STEPS:
                return ()
            return self._of_modules(self._holders.constructors(last), method, key, depth + 1)
        owner = self._owner(constructor.func)
        return (Probability(owner=owner, method=method, key=key),) if owner else ()

    def _ends_with(self, name: str, at: cst.CSTNode) -> Sources:
        return (Probability(Activated(name, self._source.place(at))),)

    def _owner(self, name: cst.BaseExpression) -> str:
        """The path of a class as `Project` looks it up; empty for one of torch, and for what is computed."""
        path = self._names.resolve(name) or LOCAL + dotted_name(name)
        return "" if path == LOCAL or path.startswith("torch.") else path

    def _keys(self, value: cst.BaseExpression) -> Iterator[Key]:
        """The keys of a tuple or dict that is written out, or was in the one definition of a name."""
        if isinstance(value, cst.Name):
            value = self._source.fact(Flow).value_of(value) or value
        match value:
            case cst.Tuple(elements=elements) | cst.List(elements=elements):
                yield from range(len(elements))
            case cst.Dict(elements=elements):
                for entry in elements:
                    if isinstance(entry, cst.DictElement) and isinstance(entry.key, cst.SimpleString):
                        yield str(entry.key.evaluated_value)


def summarize_probabilities(source: Source) -> FileProbabilities:
    """What the classes of a file return, for `activations_of`."""
    return FileProbabilities(dict(source.fact(Probabilities).methods()))


def sigmoids_of(project: Project, probability: Probability, path: str) -> tuple[Place, ...]:
    """The sigmoids that a value noted in the file at `path` comes from; none where it can come from elsewhere."""
    found = activations_of(project, probability, path)
    return tuple(each.place for each in found) if all(each.name == "sigmoid" for each in found) else ()


def activations_of(project: Project, probability: Probability, path: str, depth: int = 0) -> tuple[Activated, ...]:
    """The activations that a value noted in the file at `path` comes from; none where it can come from elsewhere."""
    if probability.activated is not None:
        return (probability.activated,)
    summary = project.find_class(probability.owner, path)
    if summary is None or depth > _MOST_STEPS:
        return ()
    for each in project.lineage(summary).classes:
        if probability.method in each.methods:
            return _returned_by(project, each, probability, depth)
    return ()


def _returned_by(project: Project, owner: ClassSummary, probability: Probability, depth: int) -> tuple[Activated, ...]:
    file = project.summary(summarize_probabilities, owner.path)
    by_key = file.methods.get((owner.name, probability.method), {}) if file is not None else {}
    key = probability.key
    if key in by_key:
        sources = by_key[key]
    else:
        # An element of the whole: of the tuple that another method gives, or of the tensor.
        sources = tuple(dataclasses.replace(each, key=each.key or key) for each in by_key.get(None, ()))
    found: dict[Activated, None] = {}
    for each in sources:
        activations = activations_of(project, each, owner.path, depth + 1)
        if not activations:
            return ()
        found.update(dict.fromkeys(activations))
    return tuple(found)


def _last_key(trace: Trace, key: Key) -> Key:
    """The constant by which the innermost value is indexed: that of `model(x)["p"]`, also through names."""
    for link in reversed(trace.links):
        match link.node:
            case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=cst.SimpleString() as text))]):
                return str(text.evaluated_value)
            case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=cst.Integer() as number))]):
                return int(number.evaluated_value)
        if link.definition is None:
            break
    return key
