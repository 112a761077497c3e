"""What takes part in a training loop: optimizers and the models they own, schedulers, gradient scalers.

A variable's role follows from what builds it. Where that is not in the file (a parameter, a factory), its name says it:
`optimizer_G`, `self.lr_scheduler`, `scaler`.
"""

from __future__ import annotations

import enum
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.names import Names, dotted_name
from pipeline_lint.facts.modules import Modules
from pipeline_lint.source import Source

Values = list[cst.BaseExpression | None]


class Role(enum.Enum):
    """What a variable does in the loop."""

    OPTIMIZER = "optimizer"
    SCHEDULER = "scheduler"
    SCALER = "scaler"
    OTHER = "other"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A variable with its role."""

    path: str
    """As the file writes it: `optimizer`, `self.opt_G`, `opts["D"]`."""
    role: Role
    constructor: cst.Call | None = None
    """What builds it, where that is one call in the file."""
    class_path: str = ""
    """The constructor's path, `torch.optim.Adam`; `:Noam` for a class of the same file; empty where not known."""

    @property
    def is_known(self) -> bool:
        """Whether torch's own class builds it, so that its methods do what torch documents."""
        return self.class_path.startswith("torch.")

    @property
    def class_name(self) -> str:
        return self.class_path.rpartition(".")[2].lstrip(":")


_SCHEDULER_NAME = re.compile(r"sched|(^|_)lr_(decay|policy|plateau|adjust)|warmup|anneal|exp_lr", re.IGNORECASE)
_OPTIMIZER_NAME = re.compile(
    r"(^|_)(optim\w*|opt|opts|solver|sgd|adam|adamw)(_|$|\d)|optimi[sz]er|optim$|(?-i:(^|_)opt[A-Z](_|$))",
    re.IGNORECASE,
)
_SCALER_NAME = re.compile(r"(^|_)(grad_?)?scaler(_|$)|gradscaler", re.IGNORECASE)
_SCALERS = frozenset({"torch.amp.GradScaler", "torch.cuda.amp.GradScaler", "torch.cpu.amp.GradScaler"})
_PARAMETERS = frozenset({"named_parameters", "parameters"})
_SAME_MODULE = frozenset({"module"})
_LBFGS = frozenset({"LBFGS", "FullBatchLBFGS"})


class Roles:
    """The parts of the training loops of one file: `source.fact(Roles)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names = source.fact(Names)
        self._local_classes = {view.name for view in source.fact(Modules).classes}
        self._values: dict[tuple[int, str], Values] = defaultdict(list)
        self._parts: dict[tuple[int, str], Part] = {}
        self._collect()

    def part(self, path: str, at: cst.CSTNode) -> Part:
        """The role of a variable as it is named at a node."""
        scope = self._scope(path, at)
        key = (id(scope), path)
        if key not in self._parts:
            self._parts[key] = self._read(path, self._values.get(key, []))
        return self._parts[key]

    def values(self, path: str, at: cst.CSTNode) -> Values:
        """What is assigned to a variable; None for a value that no expression gives, nothing for a parameter."""
        return self._values.get((id(self._scope(path, at)), path), [])

    def is_given(self, path: str, at: cst.CSTNode) -> bool:
        """Whether a variable is a parameter of a function around a node, and nothing else gives it a value."""
        scope = self._scope(path, at)
        return isinstance(scope, cst.FunctionDef) and _takes(scope, path) and not self.values(path, at)

    def owned(self, path: str, at: cst.CSTNode) -> frozenset[str] | None:
        """The models whose parameters an optimizer is given, as written there; None where that cannot be told."""
        constructor = self.part(path, at).constructor
        if constructor is None or not constructor.args:
            return None
        return self.models_in(constructor.args[0].value)

    def _scope(self, path: str, at: cst.CSTNode) -> cst.CSTNode:
        """The function, class (for `self.name`) or module that gives a variable its value."""
        root = re.split(r"[.\[]", path, maxsplit=1)[0]
        if root == "self":
            return self._source.enclosing(at, cst.ClassDef) or self._source.module
        for above in (at, *self._source.ancestors(at)):
            if isinstance(above, cst.FunctionDef) and (
                (id(above), root) in self._values or (id(above), path) in self._values or _takes(above, root)
            ):
                return above
        return self._source.module

    def models_in(self, node: cst.BaseExpression, depth: int = 0) -> frozenset[str] | None:
        """The models whose parameters an expression gathers; None where something else is in it."""
        match node:
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=name))) if name in _PARAMETERS:
                path = path_of(self._source, owner)
                return frozenset({path}) if path else None
            case cst.Call(func=cst.Name(value="list" | "chain" | "filter" | "tuple"), args=[*_, cst.Arg(value=last)]):
                return self.models_in(last, depth) if len(node.args) <= 2 and _is_plain_call(node) else None
            case cst.BinaryOperation(left=left, operator=cst.Add(), right=right):
                one, other = self.models_in(left, depth), self.models_in(right, depth)
                return one | other if one is not None and other is not None else None
            case cst.Name() if depth < 4:
                values = self.values(node.value, node)
                if len(values) == 1 and values[0] is not None:
                    return self.models_in(values[0], depth + 1)
        return None

    def _collect(self) -> None:
        source = self._source
        for target in source.nodes(cst.AssignTarget):
            assign = source.parent(target)
            self._note(target.target, assign.value if isinstance(assign, cst.Assign) else None)
        for annotated in source.nodes(cst.AnnAssign):
            if annotated.value is not None:
                self._note(annotated.target, annotated.value)
        for loop in source.nodes(cst.For):
            self._note(loop.target, None)

    def _note(self, target: cst.BaseExpression, value: cst.BaseExpression | None) -> None:
        if isinstance(target, cst.Tuple | cst.List):
            values: list[cst.BaseExpression | None] = [None] * len(target.elements)
            if isinstance(value, cst.Tuple | cst.List) and len(value.elements) == len(target.elements):
                values = [element.value for element in value.elements]
            for element, each in zip(target.elements, values, strict=True):
                self._note(element.value, each)
            return
        path = path_of(self._source, target)
        if path and not (isinstance(value, cst.Name) and value.value == "None"):
            kind = cst.ClassDef if path.startswith("self.") else cst.FunctionDef
            scope = self._source.enclosing(target, kind) or self._source.module
            self._values[id(scope), path].append(value)

    def _read(self, path: str, values: Values) -> Part:
        calls = [value for value in values if isinstance(value, cst.Call)]
        classes = {self._class_path(call) for call in calls}
        role = _role_of_class(classes.pop()) if len(classes) == 1 else None
        class_path = (
            self._class_path(calls[0]) if calls and len({self._class_path(call) for call in calls}) == 1 else ""
        )
        constructor = calls[0] if len(calls) == 1 == len(values) else None
        return Part(path, role or _role_of_name(path), constructor, class_path)

    def _class_path(self, call: cst.Call) -> str:
        resolved = self._names.resolve(call.func)
        if resolved is not None:
            return resolved
        dotted = dotted_name(call.func)
        return f":{dotted}" if dotted in self._local_classes else ""


def path_of(source: Source, node: cst.BaseExpression) -> str:
    """A variable, attribute or constant element as the file writes it; empty for what is computed."""
    match node:
        case cst.Name(value=name):
            return name
        case cst.Attribute(value=value, attr=cst.Name(value=name)):
            before = path_of(source, value)
            if name in _SAME_MODULE:
                return before
            return f"{before}.{name}" if before else ""
        case cst.Subscript(value=value, slice=[cst.SubscriptElement(slice=cst.Index(value=key))]):
            before = path_of(source, value)
            if before and isinstance(key, cst.SimpleString | cst.Integer):
                return f"{before}[{key.value}]"
    return ""


def _takes(function: cst.FunctionDef, name: str) -> bool:
    parameters = function.params
    every = (*parameters.posonly_params, *parameters.params, *parameters.kwonly_params)
    return any(parameter.name.value == name for parameter in every)


def is_lbfgs(part: Part) -> bool:
    """Whether an optimizer evaluates its closure many times for one step."""
    return part.class_name in _LBFGS


def last_word(path: str) -> str:
    """`opt_G` of `self.opt_G`, `opts["D"]` of itself."""
    head, bracket, tail = path.partition("[")
    return head.rpartition(".")[2] + bracket + tail


def _role_of_class(path: str) -> Role | None:
    name = path.rpartition(".")[2]
    if path in _SCALERS or name in ("GradScaler", "ShardedGradScaler"):
        return Role.SCALER
    if path.startswith("torch.optim.lr_scheduler.") or re.search(r"(LR|Scheduler|Schedule)$|^get_\w*schedule", name):
        return Role.SCHEDULER
    return Role.OPTIMIZER if path.startswith("torch.optim.") else None


def _role_of_name(path: str) -> Role:
    name = last_word(path)
    if _SCALER_NAME.search(name):
        return Role.SCALER
    if _SCHEDULER_NAME.search(name):
        return Role.SCHEDULER
    return Role.OPTIMIZER if _OPTIMIZER_NAME.search(name) else Role.OTHER


def _is_plain_call(call: cst.Call) -> bool:
    return not any(argument.star or argument.keyword for argument in call.args)


def paths_in(source: Source, node: cst.CSTNode) -> Iterator[str]:
    """The variables and attributes that a piece of code mentions, longest first."""
    match node:
        case cst.Name() | cst.Attribute() | cst.Subscript():
            path = path_of(source, node)
            if path:
                yield path
                return
    for child in node.children:
        yield from paths_in(source, child)
