"""Names and types that are computed: `getattr`, `vars`, `eval`, imports by name, classes made by a call."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pipeline_lint.refactor.calling import Arguments
from pipeline_lint.refactor.library import Handler, modules
from pipeline_lint.refactor.program import ModuleCode
from pipeline_lint.refactor.tokens import (
    EMPTY,
    JUST_NOTHING,
    JUST_OPAQUE,
    JUST_UNKNOWN,
    Box,
    ClassToken,
    External,
    Instance,
    ModuleToken,
    Partial,
    RecordClass,
    Text,
    Value,
)

if TYPE_CHECKING:
    from pipeline_lint.refactor.evaluation import Evaluation


def _isinstance(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    if arguments.values:
        evaluation.machine.uses.note("isinstance", evaluation.code, node, arguments.values[0])
    return JUST_NOTHING


def _partial(evaluation: Evaluation, arguments: Arguments, _: ast.AST) -> Value:
    function = arguments.get(0, "func")
    values, keywords = tuple(arguments.values[1:]), tuple(sorted(arguments.keywords.items()))
    key = ("partial", function, values, keywords)
    return frozenset({evaluation.machine.token(key, lambda: Partial(function, values, keywords))})


def _getattr(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    from pipeline_lint.refactor.expressions import attribute_of

    owners, names = arguments.get(0, "object"), arguments.get(1, "name")
    value = arguments.get(2, "default")
    texts = [token.text for token in names if isinstance(token, Text)]
    if texts and len(texts) == len(names):
        for owner in owners:
            for text in texts:
                value |= attribute_of(evaluation, owner, text)
        return value
    if owners and all(isinstance(owner, External) for owner in owners):
        # Of a library, as in `getattr(torch.nn, name)`: whatever it is, it is not of the project.
        return value | JUST_OPAQUE
    for owner in owners:
        if isinstance(owner, ModuleToken):
            for info in owner.code.classes.values():
                value |= {evaluation.machine.class_token(info)}
        elif isinstance(owner, Instance | ClassToken):
            evaluation.machine.uses.escape(owner.info, evaluation.code, node, "`getattr` with a name that is computed")
            value |= modules.held_by(evaluation, owner.info, deep=False)
    return value | JUST_UNKNOWN


def _setattr(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    from pipeline_lint.refactor.assigning import assign_attribute

    for token in arguments.get(1, "name"):
        name = token.text if isinstance(token, Text) else modules.ANY_NAME
        assign_attribute(evaluation, arguments.get(0, "object"), name, arguments.get(2, "value"), node)
    return JUST_NOTHING


def _named_tuple(evaluation: Evaluation, _: Arguments, node: ast.AST) -> Value:
    """`namedtuple("Output", ["mu", "logvar"])`, the names also in one text, or with types."""
    match node:
        case ast.Call(args=[_, ast.Constant(value=str() as text), *_]):
            names = tuple(text.replace(",", " ").split())
        case ast.Call(args=[_, ast.Tuple(elts=elements) | ast.List(elts=elements), *_]):
            written = [each.elts[0] if isinstance(each, ast.Tuple) and each.elts else each for each in elements]
            names = tuple(str(each.value) for each in written if isinstance(each, ast.Constant))
        case _:
            return JUST_OPAQUE
    if not names:
        return JUST_OPAQUE
    return frozenset({evaluation.machine.token(("record", node), lambda: RecordClass(names))})


def _type(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    evaluation.machine.uses.note("type", evaluation.code, node, arguments.get(0, "object"))
    classes = [evaluation.machine.class_token(t.info) for t in arguments.get(0, "object") if isinstance(t, Instance)]
    return frozenset(classes) if classes else JUST_OPAQUE


def _hashed(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    evaluation.machine.uses.note("hash", evaluation.code, node, arguments.get(0, "object"))
    return JUST_NOTHING


def namespace(evaluation: Evaluation, code: ModuleCode, node: ast.AST) -> Value:
    """A module's dict: its classes and functions under any name."""
    machine = evaluation.machine
    box = machine.box("dict", evaluation.code, node, part=code.path)
    for name in code.top_names:
        machine.write_item(box, name, global_of(evaluation, code, name))
    return frozenset({box})


def global_of(evaluation: Evaluation, code: ModuleCode, name: str) -> Value:
    """What a file's name of that text means."""
    from pipeline_lint.refactor.expressions import global_value

    return global_value(evaluation, code, name)


def _globals(evaluation: Evaluation, _: Arguments, node: ast.AST) -> Value:
    return namespace(evaluation, evaluation.code, node)


def _vars(evaluation: Evaluation, arguments: Arguments, _: ast.AST) -> Value:
    from pipeline_lint.refactor.expressions import attribute_of

    value: Value = EMPTY
    for token in arguments.get(0, "object"):
        value |= attribute_of(evaluation, token, "__dict__")
    return value or JUST_OPAQUE


def _evaluated(evaluation: Evaluation, _: Arguments, node: ast.AST) -> Value:
    """`eval(text)`: any class of the file, or an object of it."""
    machine = evaluation.machine
    value: Value = JUST_UNKNOWN
    for token in namespace(evaluation, evaluation.code, node):
        assert isinstance(token, Box)
        for each in machine.read_items(token, evaluation.unit):
            value |= {each}
            if isinstance(each, ClassToken):
                value |= {machine.instance(each.info)}
    return value


_MOST_MODULES = 20


def _imported(evaluation: Evaluation, arguments: Arguments, _: ast.AST) -> Value:
    """`importlib.import_module(name)`."""
    machine = evaluation.machine
    names = [token.text for token in arguments.get(0, "name") if isinstance(token, Text)]
    found = [machine.find_module(name, evaluation.code) for name in names]
    known: Value = frozenset(machine.module(each) for each in found if each is not None)
    if names and all(each is not None for each in found):
        return known
    if names:
        return known | {machine.external(name) for name in names}
    # Any file of the project.
    return known | JUST_UNKNOWN | {machine.module(code) for code in list(machine.codes.values())[:_MOST_MODULES]}


HANDLERS: dict[str, Handler] = {
    "builtins.isinstance": _isinstance,
    "builtins.getattr": _getattr,
    "builtins.setattr": _setattr,
    "builtins.type": _type,
    "builtins.hash": _hashed,
    "builtins.globals": _globals,
    "builtins.vars": _vars,
    "builtins.eval": _evaluated,
    "builtins.exec": _evaluated,
    "builtins.__import__": _evaluated,
    "functools.partial": _partial,
    "importlib.import_module": _imported,
    "collections.namedtuple": _named_tuple,
    "typing.NamedTuple": _named_tuple,
}
