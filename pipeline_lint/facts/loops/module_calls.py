"""Calls that run a model: a variable that a module's class builds, or that is called as models are."""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.facts import torch_api
from pipeline_lint.facts.code.names import Names, dotted_name
from pipeline_lint.facts.loops.roles import Roles, last_word, path_of
from pipeline_lint.facts.modules import Modules
from pipeline_lint.source import Source

_MODEL = re.compile(
    r"^_?(\w+_)?(model|net|network|unet|cnn|rnn|lstm|gru|classifier|backbone|encoder|decoder|generator|discriminator"
    r"|vae|transformer|resnet|netg|netd|extractor|featurizer|detector|segmentor|regressor|autoencoder|ae|gan|bert|gpt)"
    r"(_\w+|\d+)?$|^net_?\w{0,3}$",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"(name|path|file|fn|func|config|cfg|dir|type|args|class|cls|size|dim|id|parallel|params)$|^(load|get|build|create|save|make|init|print|plot|log|count|set|update|test|train|eval|run|to|is|has|add|download|wrap|parse)_",
    re.I,
)


_MOVES = frozenset({"cpu", "cuda", "double", "eval", "float", "half", "to", "train"})
_WRAPPER = re.compile(r"(^|\.)(DataParallel|DistributedDataParallel|DDP|torch\.compile|jit\.script)$")


class ModuleCalls:
    """The calls of models in one file: `source.fact(ModuleCalls)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names = source.fact(Names)
        self._roles = source.fact(Roles)
        self._classes = {view.name: view for view in source.fact(Modules).classes}
        self._functions = {function.name.value for function in source.nodes(cst.FunctionDef)}
        self.calls: tuple[cst.Call, ...] = tuple(call for call in source.nodes(cst.Call) if self._is_model(call))

    def class_of(self, call: cst.Call) -> cst.ClassDef | None:
        """The class of this file that builds the model."""
        built = self.built_by(call)
        view = self._classes.get(dotted_name(built.func)) if built is not None else None
        return view.node if view is not None else None

    def built_by(self, call: cst.Call) -> cst.Call | None:
        """The call that builds the model, without what it is moved and wrapped by: `Net(3)` of `Net(3).to(device)`.

        None where it is built in several ways, or not in this file.
        """
        path = path_of(self._source, call.func)
        values = self._roles.values(path, call) if path else []
        # `model = model.to(device)` and `model = nn.DataParallel(model)` build nothing.
        inner = [_unwrapped(value) for value in values if value is not None]
        built = [value for value in inner if path_of(self._source, value) != path]
        match built:
            case [cst.Call() as found] if len(values) == len(inner):
                return found
        return None

    def _is_model(self, call: cst.Call) -> bool:
        if not isinstance(call.func, cst.Name | cst.Attribute) or not call.args:
            return False
        path = path_of(self._source, call.func)
        name = last_word(path)
        if not path or name in self._functions or self._names.resolve(call.func) is not None or name in self._classes:
            return False
        part = self._roles.part(path, call)
        if part.class_path:
            if part.class_path.startswith(":"):
                view = self._classes.get(part.class_name)
                return view is not None and "forward" in view.methods
            if part.class_path.startswith("torch."):
                return part.class_path in torch_api.MODULE_ROOTS and "Loss" not in part.class_path
        return _is_named_so(name)

    def is_model_name(self, node: cst.BaseExpression) -> bool:
        """Whether a variable is called as models are."""
        return _is_named_so(last_word(path_of(self._source, node)))


def _unwrapped(node: cst.BaseExpression) -> cst.BaseExpression:
    """A model without what moves or wraps it."""
    match node:
        case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value=name))) if name in _MOVES:
            return _unwrapped(inner)
        case cst.Call(func=function, args=[cst.Arg(value=inner), *_]) if _WRAPPER.search(dotted_name(function)):
            return _unwrapped(inner)
    return node


def _is_named_so(name: str) -> bool:
    return _MODEL.search(name) is not None and _NO_MODEL.search(name) is None
