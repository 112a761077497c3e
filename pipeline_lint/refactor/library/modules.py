"""What classes of the project inherit from torch: methods of `nn.Module`, containers, chains of modules."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pipeline_lint.refactor import calling
from pipeline_lint.refactor.calling import Arguments
from pipeline_lint.refactor.library import Handler, iteration
from pipeline_lint.refactor.program import ClassInfo
from pipeline_lint.refactor.tokens import (
    EMPTY,
    JUST_NOTHING,
    JUST_OPAQUE,
    Box,
    Function,
    Instance,
    Text,
    Token,
    Value,
)

if TYPE_CHECKING:
    from pipeline_lint.refactor.evaluation import Evaluation
    from pipeline_lint.refactor.machine import Machine


_GIVING_ITSELF = frozenset(
    "to cuda cpu xpu eval train half float double bfloat16 type requires_grad_ apply share_memory to_empty cuda_ ipu "
    "compile_ freeze unfreeze shuffle".split()
)


_OF_MODULES = frozenset(
    "parameters named_parameters state_dict load_state_dict buffers named_buffers modules named_modules children "
    "named_children zero_grad register_buffer register_parameter add_module register_module get_submodule "
    "register_forward_hook register_forward_pre_hook register_full_backward_hook register_backward_hook "
    "register_full_backward_pre_hook __init__ extra_repr log log_dict "
    "save_hyperparameters optimizers lr_schedulers manual_backward freeze toggle_optimizer untoggle_optimizer "
    "configure_optimizers forward __call__ compile update_parameters update no_sync join clip_gradients print "
    "all_gather".split()
)


INHERITED_METHODS = _GIVING_ITSELF | _OF_MODULES
"""Methods of `nn.Module` and Lightning's that classes of the project inherit."""


_BACKWARD_HOOKS = frozenset(
    {"register_full_backward_hook", "register_backward_hook", "register_full_backward_pre_hook"}
)


ANY_NAME = "*"
"""The attribute that stands for those whose names are computed."""


def call_inherited(evaluation: Evaluation, receiver: Token, name: str, arguments: Arguments, node: ast.AST) -> Value:
    """Methods that classes of the project inherit from torch."""
    if name in ("__call__", "forward") and isinstance(receiver, Instance):
        method = evaluation.machine.method(receiver.info, "forward")
        if method is None:
            return calling.call(evaluation, chain_of(evaluation, receiver.info), arguments, node) or JUST_OPAQUE
        return calling.call_function(evaluation, method, frozenset({receiver}), arguments)
    if name in _GIVING_ITSELF:
        _open_functions(evaluation, arguments)
        return frozenset({receiver})
    if name == "register_forward_hook" and isinstance(receiver, Instance):
        return _hook(evaluation, receiver, arguments)
    if name in _BACKWARD_HOOKS and isinstance(receiver, Instance):
        # Of a dict they see no gradients.
        evaluation.machine.uses.escape(receiver.info, evaluation.code, node, f"`{name}`, which wants a tuple")
    if name in ("add_module", "register_module") and isinstance(receiver, Instance):
        names = [token.text for token in arguments.get(0, "name") if isinstance(token, Text)]
        for each in names or [ANY_NAME]:
            hold(evaluation.machine, receiver.info, each, arguments.get(1, "module"))
        if is_container(evaluation.machine, receiver.info):
            calling.hand_over(evaluation, arguments, f"`{name}`")
    if name in ("children", "modules", "named_children", "named_modules") and isinstance(receiver, Instance):
        return _submodules(evaluation, receiver, name, node)
    if name == "get_submodule" and isinstance(receiver, Instance):
        return held_by(evaluation, receiver.info, deep=True) | JUST_OPAQUE
    if name == "__init__" and isinstance(receiver, Instance):
        if "torch.nn.Sequential" in evaluation.machine.external_bases(receiver.info):
            chain = _sequential(evaluation, arguments, node)
            evaluation.machine.write(("chain", receiver.info), chain)
            evaluation.machine.write(("held", receiver.info), chain)
            return JUST_NOTHING
        # A loader or a container of torch keeps them, and gives them in ways that are not followed.
        calling.hand_over(evaluation, arguments, "`super().__init__`")
    _open_functions(evaluation, arguments)
    return JUST_OPAQUE


def chain_of(evaluation: Evaluation, info: ClassInfo) -> Value:
    """What `nn.Sequential.__init__` was given by a subclass: its objects are that chain of modules when called."""
    value: Value = EMPTY
    for each in evaluation.machine.lineage(info):
        value |= evaluation.machine.read(("chain", each), evaluation.unit)
    return value


_CONTAINERS = frozenset({"torch.nn.Sequential", "torch.nn.ModuleList", "torch.nn.ModuleDict"})


def is_container(machine: Machine, info: ClassInfo) -> bool:
    """Whether a class of the project is a container of torch, which gives what it holds by index and by name."""
    return not _CONTAINERS.isdisjoint(machine.external_bases(info))


def hold(machine: Machine, info: ClassInfo, name: str, value: Value) -> None:
    """Notes what an attribute of a class's objects is."""
    machine.write(("attribute", info, name), value)
    kept = frozenset(token for token in value if isinstance(token, Instance | Box))
    machine.write(("held", info), kept)


def held_by(evaluation: Evaluation, info: ClassInfo, *, deep: bool) -> Value:
    """The modules that a module has in its attributes, those in lists and dicts included; `deep`: theirs, too."""
    machine, unit = evaluation.machine, evaluation.unit
    found: dict[Token, None] = {}
    waiting: list[Token] = []
    for each in machine.lineage(info):
        waiting += machine.read(("held", each), unit)
    seen: set[Token] = set()
    while waiting:
        token = waiting.pop()
        if token in seen:
            continue
        seen.add(token)
        if isinstance(token, Box):
            waiting += machine.read_items(token, unit)
        elif isinstance(token, Instance):
            found[token] = None
            if deep:
                for each in machine.lineage(token.info):
                    waiting += machine.read(("held", each), unit)
    return frozenset(found)


def _submodules(evaluation: Evaluation, receiver: Instance, name: str, node: ast.AST) -> Value:
    """`children()`, `named_modules()` and the like: modules of the project, and layers of torch."""
    machine = evaluation.machine
    is_deep = name.endswith("modules")
    modules = held_by(evaluation, receiver.info, deep=is_deep) | JUST_OPAQUE
    if is_deep:
        modules |= {receiver}
    if not name.startswith("named"):
        return iteration.iterator(evaluation, node, modules)
    pair = machine.box("tuple", evaluation.code, node, part="pair", num_values=2)
    machine.write_item(pair, 0, JUST_NOTHING)
    machine.write_item(pair, 1, modules)
    return iteration.iterator(evaluation, node, frozenset({pair}))


def _open_functions(evaluation: Evaluation, arguments: Arguments) -> None:
    for value, _ in arguments.all:
        for token in value:
            if isinstance(token, Function):
                calling.open_function(evaluation.machine, token)


def _hook(evaluation: Evaluation, receiver: Instance, arguments: Arguments) -> Value:
    method = evaluation.machine.method(receiver.info, "forward")
    if method is not None:
        output = calling.result_of(evaluation.machine, method, evaluation.unit)
        blank = calling.placeholder(arguments.nodes[0] if arguments.nodes else receiver.info.node)
        given = calling.Arguments([frozenset({receiver}), JUST_OPAQUE, output], [blank, blank, blank])
        calling.call(evaluation, arguments.get(0, "hook"), given, blank)
    return JUST_OPAQUE


def _sequential(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    machine = evaluation.machine
    count = len(arguments.values) if not arguments.rest else 0
    box = machine.box("sequential", evaluation.code, node, num_values=count)
    for index, value in enumerate(arguments.values):
        boxes = [token for token in value if isinstance(token, Box) and token.kind == "dict"]
        for each in boxes:
            machine.write_item(box, None, machine.read_items(each, evaluation.unit))
        if not boxes:
            machine.write_item(box, index if count else None, value)
    machine.write_item(box, None, arguments.rest)
    return frozenset({box})


def _module_container(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    """`nn.ModuleList(modules)` holds what it is given."""
    given = frozenset(token for token in (arguments.values[0] if arguments.values else EMPTY) if isinstance(token, Box))
    return given or frozenset({evaluation.machine.box("list", evaluation.code, node)})


HANDLERS: dict[str, Handler] = {
    "torch.nn.Sequential": _sequential,
    "torch.nn.ModuleList": _module_container,
    "torch.nn.ModuleDict": _module_container,
}
