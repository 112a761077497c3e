"""What a file does with gradients, in the order of the text: backward, step, zero_grad, scaling, clipping, scheduling.

Calls of the file's own functions are among the actions, so that `Traces` can follow a step that is split over several.
"""

from __future__ import annotations

import enum
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.frameworks import is_of_another_framework
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.loops.roles import Role, Roles, path_of
from pipeline_lint.facts.ranges.attributes import Attributes
from pipeline_lint.source import Source


class Kind(enum.Enum):
    """What an action does."""

    BACKWARD = "backward"
    STEP = "step"
    """An optimizer's, also through `scaler.step(optimizer)`."""
    ZERO = "zero"
    SCHEDULE = "schedule"
    UNSCALE = "unscale"
    UPDATE = "update"
    CLIP = "clip"
    CALL = "call"
    """Of a function of the file."""
    FOREIGN = "foreign"
    """A call of unknown code that may do any of these: it is handed an optimizer, or its name says so."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A statement around an action, with the block of it that the action stands in."""

    node: cst.CSTNode
    block: str
    """`body`, `orelse`, `handlers`, `finalbody`; for a function `body`."""

    def is_same_block(self, other: Frame) -> bool:
        return self.node is other.node and self.block == other.block


@dataclass(frozen=True, slots=True, eq=False)
class Action:
    """One action of a file."""

    kind: Kind
    node: cst.CSTNode
    """The call, or the assignment of `p.grad = None`."""
    path: str = ""
    """The optimizer, scheduler or model that it is done to, the function called; empty where that is not plain."""
    scaler: str = ""
    """The gradient scaler that it goes through."""
    value: cst.BaseExpression | None = None
    """The loss, the parameters that are clipped, the closure of a step, the argument of a scheduler's step."""
    callee: cst.FunctionDef | None = None
    is_framework: bool = False
    """Whether a framework's object does it: `accelerator.backward(loss)`."""


_NAMES = frozenset(
    """backward manual_backward step zero_grad unscale_ update clip_grad_norm_ clip_grad_norm clip_grad_value_
    clip_gradients clip_grads_with_norm_ zero_ scale_loss""".split()
)
_FRAMEWORK_OBJECT = re.compile(
    r"accelerat|fabric|engine|strategy|optim|booster|plugin|deepspeed|\bself\b|trainer|lite\b|_amp\b|\bamp\b", re.I
)
_FOREIGN = re.compile(
    r"zero_?grad|(clear|reset|clean|empty)_?grad|grad_?(reset|clear|zero)|optimi[sz]er?_step|optimi[sz]e(_|$)|train_step|update_(param|weight|net)|backprop",
    re.I,
)
_CLIPPING = re.compile(r"clip_grad|clip_and_|clip_by_norm|grad_?clip")
_BLOCKS = ("body", "orelse", "handlers", "finalbody")
_STATEMENTS = (cst.For, cst.While, cst.If, cst.Else, cst.With, cst.Try, cst.ExceptHandler, cst.Finally)


class Actions:
    """The actions of one file by function, in the order of the text: `source.fact(Actions)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._roles = source.fact(Roles)
        self._names = source.fact(Names)
        self._functions = _unique_functions(source)
        self._attributes = source.fact(Attributes)
        self.all: list[Action] = []
        self._by_scope: dict[int, list[Action]] = defaultdict(list)
        self._frames: dict[int, tuple[Frame, ...]] = {}
        calls = source.nodes(cst.Call) if not is_of_another_framework(source) else []
        for call in calls:
            action = self._read(call)
            if action is not None:
                self._add(action)
        has_assigned = False
        for target in source.nodes(cst.AssignTarget):
            match target.target:
                case cst.Attribute(attr=cst.Name(value="grad")):
                    assign = source.parent(target)
                    if isinstance(assign, cst.Assign) and isinstance(assign.value, cst.Name):
                        self._add(Action(Kind.ZERO, assign))
                        has_assigned = True
        if has_assigned:
            # Positions take rendering; without assignments calls are in the order of the text already.
            for actions in self._by_scope.values():
                actions.sort(key=self._position)

    def of(self, scope: cst.CSTNode) -> Sequence[Action]:
        """The actions whose innermost function is `scope`, or the module's own."""
        return self._by_scope.get(id(scope), ())

    def frames(self, action: Action) -> tuple[Frame, ...]:
        """The statements around an action within its function, outermost first."""
        key = id(action.node)
        if key not in self._frames:
            self._frames[key] = frames_of(self._source, action.node)
        return self._frames[key]

    def function_called(self, call: cst.Call) -> cst.FunctionDef | None:
        """The function or method of this file that a call surely runs."""
        match call.func:
            case cst.Name(value=name):
                return self._functions.get(name)
            case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)):
                owner = self._source.enclosing(call, cst.ClassDef)
                return self._attributes.method(owner, name) if owner is not None else None
            case cst.Attribute(value=cst.Call(func=cst.Name(value="super"))):
                return None
        return None

    def _add(self, action: Action) -> None:
        self.all.append(action)
        scope = self._source.function_of(action.node) or self._source.module
        self._by_scope[id(scope)].append(action)

    def _position(self, action: Action) -> int:
        """A call in an argument runs before the call around it; both end where they are done."""
        return self._source.span(action.node)[1]

    def _read(self, call: cst.Call) -> Action | None:
        name = called_name(call)
        callee = self.function_called(call)
        if callee is not None and not _CLIPPING.search(name):
            return Action(Kind.CALL, call, name, callee=callee)
        if name in _NAMES or _CLIPPING.search(name):
            found = self._gradient_action(call, name)
            if found is not None:
                return found
        if _FOREIGN.search(name) or self._is_handed_optimizer(call):
            return Action(Kind.FOREIGN, call, name)
        return None

    def _gradient_action(self, call: cst.Call, name: str) -> Action | None:
        receiver = call.func.value if isinstance(call.func, cst.Attribute) else None
        first = _first(call)
        if name in ("backward", "manual_backward"):
            return self._backward(call, receiver, first)
        if _CLIPPING.search(name):
            return Action(Kind.CLIP, call, value=first or receiver)
        if receiver is None:
            return None
        path = path_of(self._source, receiver)
        match name:
            case "zero_grad":
                return Action(Kind.ZERO, call, path)
            case "zero_" if isinstance(receiver, cst.Attribute) and _is_gradient(receiver):
                return Action(Kind.ZERO, call)
            case "step":
                return self._step(call, path, first)
            case "unscale_":
                return Action(Kind.UNSCALE, call, path_of(self._source, first) if first else "", scaler=path)
            case "update" if self._roles.part(path, call).role is Role.SCALER:
                return Action(Kind.UPDATE, call, scaler=path)
        return None

    def _backward(
        self, call: cst.Call, receiver: cst.BaseExpression | None, first: cst.BaseExpression | None
    ) -> Action | None:
        match receiver:
            case None:
                return Action(Kind.FOREIGN, call, "backward")
            case cst.Call(func=cst.Attribute(value=scaler, attr=cst.Name(value="scale")), args=[cst.Arg(value=loss)]):
                return Action(Kind.BACKWARD, call, scaler=path_of(self._source, scaler) or "?", value=loss)
            case cst.Call(func=cst.Name(value="super")):
                return None
        path = path_of(self._source, receiver)
        resolved = self._names.resolve(receiver) or ""
        if resolved == "torch.autograd":
            return Action(Kind.BACKWARD, call, value=first)
        if resolved.startswith("torch.distributed."):
            # A context of distributed autograd has gradients of its own, which go with it.
            return Action(Kind.BACKWARD, call, is_framework=True)
        if first is not None and path and _FRAMEWORK_OBJECT.search(path):
            return Action(Kind.BACKWARD, call, value=first, is_framework=True)
        return Action(Kind.BACKWARD, call, value=receiver)

    def _step(self, call: cst.Call, path: str, first: cst.BaseExpression | None) -> Action | None:
        role = self._roles.part(path, call).role if path else Role.OTHER
        match role:
            case Role.OPTIMIZER:
                return Action(Kind.STEP, call, path, value=first)
            case Role.SCHEDULER:
                return Action(Kind.SCHEDULE, call, path, value=first)
            case Role.SCALER if first is not None:
                return Action(Kind.STEP, call, path_of(self._source, first), scaler=path)
        return None

    def _is_handed_optimizer(self, call: cst.Call) -> bool:
        """Whether an unknown function gets an optimizer, so that it may step it or drop its gradients."""
        return any(
            (path := path_of(self._source, argument.value)) and self._roles.part(path, call).role is Role.OPTIMIZER
            for argument in call.args
        )


def frames_of(source: Source, node: cst.CSTNode) -> tuple[Frame, ...]:
    """The statements around a node within its function, outermost first; a branch counts as one of its `if`."""
    found: list[Frame] = []
    below: cst.CSTNode = node
    for above in source.ancestors(node):
        if isinstance(above, cst.FunctionDef | cst.Lambda | cst.ClassDef | cst.Module):
            break
        if isinstance(above, _STATEMENTS):
            block = next((name for name in _BLOCKS if getattr(above, name, None) is below), None)
            if block is not None:
                found.append(Frame(above, block))
            elif isinstance(above, cst.Try) and isinstance(below, cst.ExceptHandler):
                found.append(Frame(above, "handlers"))
            elif isinstance(above, cst.If) and below is above.orelse:
                found.append(Frame(above, "orelse"))
        below = above
    return tuple(reversed(found))


def parameter_mapping(call: cst.Call, callee: cst.FunctionDef, source: Source) -> Mapping[str, str]:
    """The callee's parameters with the paths of the arguments that a call gives them."""
    names = [each.name.value for each in (*callee.params.posonly_params, *callee.params.params)]
    if isinstance(call.func, cst.Attribute) and names[:1] in (["self"], ["cls"]):
        names = names[1:]
    found = {}
    for index, argument in enumerate(call.args):
        if argument.star:
            break
        name = argument.keyword.value if argument.keyword is not None else names[index] if index < len(names) else ""
        if name:
            found[name] = path_of(source, argument.value)
    return found


def _unique_functions(source: Source) -> dict[str, cst.FunctionDef]:
    """Functions that are no methods, by name; names that two functions have are left out."""
    found: dict[str, cst.FunctionDef] = {}
    twice: set[str] = set()
    for function in source.nodes(cst.FunctionDef):
        if isinstance(source.parent(source.parent(function) or function), cst.ClassDef):
            continue
        name = function.name.value
        if name in found:
            twice.add(name)
        found[name] = function
    return {name: function for name, function in found.items() if name not in twice}


def _first(call: cst.Call) -> cst.BaseExpression | None:
    for argument in call.args:
        if not argument.star and (argument.keyword is None or argument.keyword.value in _FIRST_KEYWORDS):
            return argument.value
    return None


_FIRST_KEYWORDS = frozenset({"closure", "loss", "metrics", "optimizer", "parameters"})


def _is_gradient(node: cst.Attribute) -> bool:
    """`p.grad` and `p.grad.data`."""
    return node.attr.value == "grad" or (
        node.attr.value == "data" and isinstance(node.value, cst.Attribute) and node.value.attr.value == "grad"
    )
