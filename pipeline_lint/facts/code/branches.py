"""Which conditions lead to a place in a function and who decides them, and whether a block is always left early."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.names import dotted_name
from pipeline_lint.source import Source

_MODES = ("training", "scripting", "tracing", "compiling", "export", "onnx", "deploy", "inference")
_LEGACY = frozenset({"return_dict", "return_tuple", "as_tuple"})
_NAMES_OF_SETTINGS = ("need_", "output_", "return_", "use_", "with_")
_EXITS = frozenset({"exit", "os._exit", "quit", "sys.exit", "typing.assert_never"})


class Switch(enum.IntEnum):
    """Who decides a condition."""

    DATA = 0
    """Something computed: the caller cannot know which way it goes."""
    ARGUMENT = 1
    """An argument or a setting of the object."""
    MODE = 2
    """Training or evaluation, scripting, tracing, export; or the type of a value, which that of the result follows."""
    LEGACY = 3
    """A caller who asks for a tuple in place of a named result: `if not return_dict:`."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition that holds where a place is reached."""

    number: int
    """Tells the conditions of one function apart."""
    is_met: bool
    switch: Switch
    is_absence: bool = False
    """Whether it holds for want of something: `if x is None:`, `if not x:`."""


def guards_of(
    source: Source, node: cst.CSTNode, function: cst.FunctionDef, numbers: dict[int, int]
) -> tuple[Guard, ...]:
    """The conditions of the `if`s, `case`s and conditional expressions around a node, outermost first.

    `numbers` remembers the conditions that were seen in this function.
    """
    found = []
    parameters = parameter_names(function)
    below = node
    for above in source.ancestors(node):
        if above is function:
            break
        if isinstance(above, cst.If | cst.IfExp) and below is not above.test:
            number = numbers.setdefault(id(above), len(numbers))
            is_met = below is above.body
            found.append(Guard(number, is_met, _switch(above.test, parameters), _is_absence(above.test, is_met=is_met)))
        elif isinstance(above, cst.MatchCase):
            match = source.parent(above)
            switch = _switch(match.subject, parameters) if isinstance(match, cst.Match) else Switch.DATA
            found.append(Guard(numbers.setdefault(id(above), len(numbers)), is_met=True, switch=switch))
        below = above
    return tuple(reversed(found))


def separating_switch(one: tuple[Guard, ...], other: tuple[Guard, ...]) -> Switch:
    """Who decides which of two places is reached: of the conditions apart the one that says most to a caller."""
    return max((guard.switch for guard in set(one) ^ set(other)), default=Switch.DATA)


def parameter_names(function: cst.FunctionDef) -> frozenset[str]:
    """Names of a function's parameters, `*args` and `**kwargs` apart."""
    parameters = function.params
    every = [*parameters.posonly_params, *parameters.params, *parameters.kwonly_params]
    return frozenset(parameter.name.value for parameter in every)


def always_leaves(body: cst.BaseSuite) -> bool:
    """Whether a block never runs to its end, because every path returns, raises, or loops for ever."""
    return any(_leaves(statement) for statement in body.body)


def _leaves(statement: cst.CSTNode) -> bool:
    match statement:
        case cst.SimpleStatementLine(body=parts):
            return any(_leaves(part) for part in parts)
        case cst.Return() | cst.Raise() | cst.Continue() | cst.Break():
            return True
        case cst.Assert(test=cst.Name(value="False") | cst.Integer(value="0")):
            return True
        case cst.Expr(value=cst.Call(func=function)):
            return dotted_name(function) in _EXITS
        case cst.If(body=body, orelse=orelse):
            return orelse is not None and always_leaves(body) and _leaves(orelse)
        case cst.Else(body=body) | cst.With(body=body):
            return always_leaves(body)
        case cst.While(test=test, body=body):
            is_endless = isinstance(test, cst.Integer) or (isinstance(test, cst.Name) and test.value == "True")
            return is_endless and not _breaks(body)
        case cst.Try() | cst.TryStar():
            return _try_leaves(statement)
        case cst.Match(cases=cases):
            return bool(cases) and _is_wildcard(cases[-1]) and all(always_leaves(case.body) for case in cases)
    return False


def _try_leaves(statement: cst.Try | cst.TryStar) -> bool:
    if statement.finalbody is not None and always_leaves(statement.finalbody.body):
        return True
    body = always_leaves(statement.body) or (statement.orelse is not None and always_leaves(statement.orelse.body))
    return body and all(always_leaves(handler.body) for handler in statement.handlers)


def _breaks(body: cst.BaseSuite) -> bool:
    """Whether a loop's block can leave the loop by `break`."""
    waiting: list[cst.CSTNode] = list(body.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, cst.Break):
            return True
        if not isinstance(node, cst.For | cst.While | cst.FunctionDef | cst.ClassDef | cst.BaseExpression):
            waiting.extend(node.children)
    return False


def _is_wildcard(case: cst.MatchCase) -> bool:
    return case.guard is None and isinstance(case.pattern, cst.MatchAs) and case.pattern.pattern is None


def _switch(test: cst.BaseExpression, parameters: frozenset[str]) -> Switch:
    match test:
        case cst.UnaryOperation(expression=inner):
            return _switch(inner, parameters)
        case cst.BooleanOperation(left=left, right=right):
            return max(_switch(left, parameters), _switch(right, parameters))
        case cst.Comparison(left=left, comparisons=comparisons):
            sides = [left, *(each.comparator for each in comparisons)]
            return min((_switch(side, parameters) for side in sides if not _is_constant(side)), default=Switch.DATA)
        case cst.Call(func=function, args=arguments):
            name = dotted_name(function)
            if _is_mode(name) or name in ("isinstance", "issubclass"):
                return Switch.MODE
            is_question = bool(arguments) and name in ("bool", "callable", "getattr", "hasattr", "len")
            return _switch(arguments[0].value, parameters) if is_question else Switch.DATA
        case cst.Name() | cst.Attribute():
            return _named_switch(dotted_name(test), parameters)
    return Switch.DATA


def _named_switch(dotted: str, parameters: frozenset[str]) -> Switch:
    """By the name of a variable or attribute; an attribute of an argument may be data, as `x.is_cuda` is."""
    root, _, rest = dotted.partition(".")
    last = dotted.rpartition(".")[2]
    if last in _LEGACY:
        return Switch.LEGACY
    if _is_mode(last):
        return Switch.MODE
    is_given = root == "self" if rest else root in parameters
    return Switch.ARGUMENT if is_given or last.startswith(_NAMES_OF_SETTINGS) else Switch.DATA


def _is_mode(name: str) -> bool:
    last = name.rpartition(".")[2]
    return any(mode in last for mode in _MODES)


def _is_constant(node: cst.BaseExpression) -> bool:
    match node:
        case cst.BaseNumber() | cst.BaseString() | cst.Name(value="None" | "True" | "False"):
            return True
        case cst.Name(value=name):
            return name.isupper()
        case cst.Attribute(attr=cst.Name(value=name)):
            # The second are members of an enumeration, `Reduction.mean`.
            return name.isupper() or dotted_name(node)[:1].isupper()
        case cst.Tuple(elements=elements) | cst.List(elements=elements) | cst.Set(elements=elements):
            return all(_is_constant(element.value) for element in elements)
        case cst.UnaryOperation(expression=inner):
            return _is_constant(inner)
    return False


def _is_absence(test: cst.BaseExpression, *, is_met: bool) -> bool:
    match test:
        case cst.Comparison(comparisons=[cst.ComparisonTarget(operator=operator, comparator=cst.Name(value="None"))]):
            return is_met == isinstance(operator, cst.Is | cst.Equal)
        case cst.UnaryOperation(operator=cst.Not()):
            return is_met
        case cst.Name() | cst.Attribute():
            return not is_met
        case cst.BooleanOperation(left=left, right=right):
            return _is_absence(left, is_met=is_met) and _is_absence(right, is_met=is_met)
    return False
