"""What a call does: arguments reach parameters, results come back, and what unknown code gets is noted."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_lint.refactor.containers import call_method, elements_of
from pipeline_lint.refactor.format_strings import UNPLACED
from pipeline_lint.refactor.program import ClassInfo, FunctionInfo
from pipeline_lint.refactor.tokens import (
    EMPTY,
    JUST_NOTHING,
    JUST_OPAQUE,
    JUST_UNKNOWN,
    OPAQUE,
    UNKNOWN,
    Box,
    ClassToken,
    External,
    Function,
    Instance,
    Method,
    Partial,
    RecordClass,
    Token,
    Value,
    has_outputs,
    is_output,
)

if TYPE_CHECKING:
    from pipeline_lint.refactor.evaluation import Evaluation
    from pipeline_lint.refactor.machine import Machine, Unit


@dataclass(slots=True)
class Arguments:
    """What a call passes."""

    values: list[Value]
    nodes: list[ast.expr]
    keywords: dict[str, Value] = field(default_factory=dict)
    keyword_nodes: dict[str, ast.expr] = field(default_factory=dict)
    rest: Value = EMPTY
    """What may be passed for any further parameter: the items of `*args` and `**kwargs` of unknown length."""
    rest_node: ast.expr | None = None
    """Where that is written."""
    is_decorated: bool = False
    """Whether it is a decorator that is called."""

    @classmethod
    def of(cls, evaluation: Evaluation, node: ast.Call) -> Arguments:
        """The arguments of a call, in the order in which Python evaluates them."""
        from pipeline_lint.refactor.expressions import evaluate

        found = cls([], [])
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                value = evaluate(evaluation, argument.value)
                evaluation.machine.uses.note("star", evaluation.code, argument, value)
                found.add_items(evaluation, argument, value)
            else:
                found.values.append(evaluate(evaluation, argument))
                found.nodes.append(argument)
        for keyword in node.keywords:
            value = evaluate(evaluation, keyword.value)
            if keyword.arg is not None:
                found.keywords[keyword.arg] = value
                found.keyword_nodes[keyword.arg] = keyword.value
            else:
                found.add_mapping(evaluation, value, keyword.value)
        return found

    def add_items(self, evaluation: Evaluation, node: ast.expr, value: Value) -> None:
        """The items of a value as further arguments, as `*value` passes them."""
        machine, unit = evaluation.machine, evaluation.unit
        sizes = {token.num_values if isinstance(token, Box) else 0 for token in value}
        if len(sizes) == 1 and 0 not in sizes and not self.rest:
            for index in range(sizes.pop()):
                item = EMPTY
                for token in value:
                    assert isinstance(token, Box)
                    item |= machine.read_item(token, index, unit)
                self.values.append(item)
                self.nodes.append(placeholder(node))
        else:
            self.rest_node = placeholder(node)
            self.rest |= elements_of(evaluation, value, None)

    def add_mapping(self, evaluation: Evaluation, value: Value, node: ast.expr) -> None:
        """The items of a dict as keyword arguments, as `**value` passes them."""
        machine, unit = evaluation.machine, evaluation.unit
        self.rest_node = placeholder(node)
        for token in value:
            if isinstance(token, Box) and isinstance(token.node, ast.Dict):
                for key in token.node.keys:
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        known = self.keywords.get(key.value, EMPTY)
                        self.keyword_nodes.setdefault(key.value, self.rest_node)
                        self.keywords[key.value] = known | machine.read_item(token, key.value, unit)
                # What the dict gets later may be passed for any parameter.
                written = EMPTY.union(*self.keywords.values())
                later = machine.read_items(token, unit) - written
                if any(isinstance(each, Box | Instance) for each in later):
                    self.rest |= later
            elif isinstance(token, Box):
                self.rest |= machine.read_items(token, unit)
            else:
                self.rest |= {token if token is UNKNOWN else OPAQUE}

    @property
    def all(self) -> list[tuple[Value, ast.expr]]:
        pairs = list(zip(self.values, self.nodes, strict=True))
        return pairs + [
            (value, self.keyword_nodes[name]) for name, value in self.keywords.items() if name in self.keyword_nodes
        ]

    def get(self, position: int, name: str) -> Value:
        """The argument of that position or keyword; empty if there is none."""
        if name in self.keywords:
            return self.keywords[name]
        return self.values[position] if 0 <= position < len(self.values) else EMPTY


def placeholder(node: ast.AST) -> ast.expr:
    """Stands for an argument that is written nowhere, because a library passes it, in the call `node`."""
    known: ast.expr | None = getattr(node, "placeholder", None)
    if known is None:
        known = ast.copy_location(ast.Constant(None), node)
        setattr(known, UNPLACED, True)
        node.placeholder = known  # type: ignore[attr-defined]
    return known


def call(evaluation: Evaluation, function: Value, arguments: Arguments, node: ast.AST) -> Value:
    """What calling a value gives."""
    result: Value = EMPTY
    for token in function:
        result |= _call_token(evaluation, token, arguments, node)
    return result


def _call_token(evaluation: Evaluation, token: Token, arguments: Arguments, node: ast.AST) -> Value:
    machine = evaluation.machine
    match token:
        case Function(info, bound):
            return call_function(evaluation, info, bound, arguments)
        case ClassToken(info):
            return _construct(evaluation, info, arguments, node)
        case Instance(info):
            return call_instance(evaluation, token, info, arguments, node)
        case Partial(inner, values, keywords):
            added = Arguments(
                [*values, *arguments.values], [*arguments.nodes], {**dict(keywords), **arguments.keywords}
            )
            added.nodes = [*(placeholder(node) for _ in values), *arguments.nodes]
            added.keyword_nodes, added.rest = arguments.keyword_nodes, arguments.rest
            return call(evaluation, inner, added, node)
        case RecordClass(names):
            return _record(evaluation, names, arguments, node)
        case Box(kind="sequential"):
            chains = machine.active_chains
            if token in chains:
                # A chain that may hold itself, as `layers = nn.Sequential(*layers)` in a loop seems to.
                return EMPTY
            chains.add(token)
            result = _call_chain(evaluation, token, arguments, node)
            chains.discard(token)
            return result
        case Method(receiver, name):
            if isinstance(receiver, Box) and name == "sort":
                items = machine.read_items(receiver, evaluation.unit)
                from pipeline_lint.refactor.library.iteration import compare

                compare(evaluation, items, arguments, node)
                return JUST_NOTHING
            if isinstance(receiver, Box):
                if name in ("update", "_replace"):
                    for keyword, value in arguments.keywords.items():
                        machine.write_item(receiver, keyword, value)
                return call_method(evaluation, receiver, name, arguments.values, node)
            from pipeline_lint.refactor.library.modules import call_inherited

            return call_inherited(evaluation, receiver, name, arguments, node)
        case External(path):
            # It calls back.
            from pipeline_lint.refactor.library.calls import call_external

            return call_external(evaluation, path, arguments, node)
    if token is UNKNOWN or token is OPAQUE:
        hand_over(evaluation, arguments, "code that is not known here" if token is UNKNOWN else _called(node))
        _call_back(evaluation, arguments)
        return frozenset({token})
    return JUST_NOTHING if not isinstance(token, Box) else JUST_OPAQUE


def _record(evaluation: Evaluation, names: tuple[str, ...], arguments: Arguments, node: ast.AST) -> Value:
    """A named tuple: each value by its name and by its position."""
    machine = evaluation.machine
    code = evaluation.code
    box = machine.token(("record", node, "made"), lambda: Box("record", code, node, num_values=len(names), names=names))
    assert isinstance(box, Box)
    for index, name in enumerate(names):
        value = arguments.get(index, name) or arguments.rest
        machine.write_item(box, index, value)
        machine.write_item(box, name, value)
    return frozenset({box})


def _called(node: ast.AST) -> str:
    return f"`{ast.unparse(node.func)}`" if isinstance(node, ast.Call) else "a decorator"


def hand_over(evaluation: Evaluation, arguments: Arguments, receiver: str, *, to_library: bool = False) -> None:
    """Notes what code outside the project gets."""
    for value, node in arguments.all:
        note_handed(evaluation, value, node, receiver, to_library=to_library)
    if arguments.rest and arguments.rest_node is not None:
        note_handed(evaluation, arguments.rest, arguments.rest_node, receiver, to_library=to_library)


def note_handed(
    evaluation: Evaluation, value: Value, node: ast.expr, receiver: str, *, to_library: bool = False
) -> None:
    """Notes that code outside the project gets a value, or a container with it."""
    machine, code = evaluation.machine, evaluation.code
    if has_outputs(value):
        machine.uses.note("outside" if to_library else "escape", code, node, value, receiver)
    for token in value:
        if isinstance(token, Instance | ClassToken) and not to_library:
            machine.uses.escape(token.info, code, node, receiver)
        elif isinstance(token, Box) and not is_output(token):
            inside = machine.read_items(token, evaluation.unit)
            if has_outputs(inside):
                machine.uses.note("escape", code, node, inside, receiver)
            for each in inside:
                if isinstance(each, Instance) and not to_library:
                    machine.uses.escape(each.info, code, node, receiver)


def _call_back(evaluation: Evaluation, arguments: Arguments) -> None:
    """Functions that unknown code gets may be called with anything."""
    for value, _ in arguments.all:
        for token in value:
            if isinstance(token, Function):
                open_function(evaluation.machine, token)


def open_function(machine: Machine, token: Function) -> None:
    """Lets a function be called with unknown arguments."""
    parameters = token.info.parameters
    if token.info.is_method and parameters:
        machine.write(("parameter", token.info, parameters[0]), token.bound)
        parameters = parameters[1:]
    for name in parameters:
        machine.write(("parameter", token.info, name), JUST_UNKNOWN)
    machine.call(token.info)


def call_function(evaluation: Evaluation, function: FunctionInfo, bound: Value, arguments: Arguments | None) -> Value:
    """Passes arguments (None: unknown ones of no interest) to a function of the project and gives what it returns."""
    machine = evaluation.machine
    names = function.parameters
    if bound and function.is_method and names:
        machine.write(("parameter", function, names[0]), bound)
        names = names[1:]
    if arguments is None:
        for name in names:
            machine.write(("parameter", function, name), JUST_OPAQUE)
    else:
        _bind(machine, function, names, arguments)
    machine.call(function)
    return result_of(machine, function, evaluation.unit)


def _bind(machine: Machine, function: FunctionInfo, names: list[str], arguments: Arguments) -> None:
    node = function.node.args
    for index, value in enumerate(arguments.values):
        if index < len(names):
            machine.write(("parameter", function, names[index]), value)
        elif node.vararg is not None:
            machine.write(("parameter", function, node.vararg.arg), value)
    keyword_only = {each.arg for each in node.kwonlyargs}
    for name, value in arguments.keywords.items():
        if name in names or name in keyword_only:
            machine.write(("parameter", function, name), value)
        elif node.kwarg is not None:
            machine.write(("parameter", function, node.kwarg.arg), value)
    if arguments.rest:
        left = [name for name in names[len(arguments.values) :] if name not in arguments.keywords]
        left += sorted(keyword_only - arguments.keywords.keys())
        extra = [each.arg for each in (node.vararg, node.kwarg) if each is not None]
        for name in [*left, *extra]:
            machine.write(("parameter", function, name), arguments.rest)


def result_of(machine: Machine, function: FunctionInfo, unit: Unit) -> Value:
    """What a function gives back; a generator gives an iterator."""
    if machine.is_asleep(function):
        return machine.sleeping_result(function, unit)
    if function.is_generator:
        box = machine.box("iterator", function.code, function.node)
        names = {name.rpartition(".")[2] for name in function.decorators}
        if not names.isdisjoint({"contextmanager", "asynccontextmanager", "fixture"}):
            return machine.read_items(box, unit)
        return frozenset({box})
    return machine.read(("return", function), unit)


def _construct(evaluation: Evaluation, info: ClassInfo, arguments: Arguments, node: ast.AST) -> Value:
    """An instance: `__init__` gets the arguments, or the fields of a dataclass do."""
    machine = evaluation.machine
    if arguments.is_decorated:
        return JUST_UNKNOWN
    instance: Value = frozenset({machine.instance(info)})
    machine.uses.constructed.add(info)
    initializer = machine.method(info, "__init__")
    if initializer is not None:
        call_function(evaluation, initializer, instance, arguments)
        return instance
    fields = [
        each.target.id
        for each in info.node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    ]
    for name, value in [*zip(fields, arguments.values, strict=False), *arguments.keywords.items()]:
        machine.write(("attribute", info, name), value)
    if not fields and machine.external_bases(info):
        hand_over(evaluation, arguments, _called(node))
    return instance


def call_instance(
    evaluation: Evaluation, token: Instance, info: ClassInfo, arguments: Arguments, node: ast.AST
) -> Value:
    """An object is called: `__call__`, or the `forward` of a module."""
    machine = evaluation.machine
    for name in ("__call__", "forward"):
        method = machine.method(info, name)
        if method is not None:
            return call_function(evaluation, method, frozenset({token}), arguments)
    from pipeline_lint.refactor.library.modules import chain_of

    chain = chain_of(evaluation, info)
    if chain:
        return call(evaluation, chain, arguments, node)
    return machine.default_attribute(info)


def _call_chain(evaluation: Evaluation, box: Box, arguments: Arguments, node: ast.AST) -> Value:
    """`nn.Sequential`: each module gets what the one before it gives."""
    machine = evaluation.machine
    current = arguments
    value: Value = EMPTY
    for index in range(box.num_values):
        module = machine.read_item(box, index, evaluation.unit)
        value = call(evaluation, module, current, node)
        current = Arguments([value], [arguments.nodes[0] if arguments.nodes else placeholder(node)])
        if (
            has_outputs(value)
            and index + 1 < box.num_values
            and _is_foreign(machine.read_item(box, index + 1, evaluation.unit))
        ):
            machine.uses.note("escape", evaluation.code, node, value, "the next module of an `nn.Sequential`")
    return value if box.num_values else call(evaluation, machine.read_items(box, evaluation.unit), arguments, node)


def _is_foreign(module: Value) -> bool:
    return any(not isinstance(token, Instance | Box) for token in module)
