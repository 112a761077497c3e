"""What becomes of a value: whether every use of it loses the gradient, under other names and in callers as well.

A distance that is only compared, an angle whose one caller asks for it under `no_grad`, a root that becomes an index:
nobody differentiates through them, whatever the function around is for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.facts.trained_code import is_trained_code
from pipeline_lint.source import Source

NO_GRADIENT = frozenset(
    {"torch.no_grad", "torch.inference_mode", "torch.autograd.no_grad", "torch.autograd.inference_mode"}
)
_LOSING_CALLS = frozenset(
    """detach detach_ item tolist numpy long int bool byte argmax argmin argsort bucketize searchsorted nonzero isnan
    isinf isfinite isclose allclose eq ne lt le gt ge equal count_nonzero one_hot logical_not logical_and logical_or
    size dim numel is_floating_point log_dict log_metrics add_scalar add_scalars add_histogram""".split()
)
_LOSING_BUILTINS = frozenset({"int", "float", "round", "bool", "len", "print", "str"})
_LOSING_ATTRIBUTES = frozenset("data shape dtype device ndim requires_grad".split())
_CALLED_BY_OTHERS = frozenset({"forward", "training_step", "loss", "compute_loss"})
_MOST_USES = 100
"""Uses of one value that are looked at before it is taken to be differentiated."""


def loses_gradient(source: Source, node: cst.CSTNode) -> bool:
    """Whether the expression around a node makes of it what has no gradient: a number, an index, a detached tensor."""
    return _end_of_expression(source, node) is None


def _end_of_expression(source: Source, node: cst.CSTNode) -> cst.CSTNode | None:
    """What holds the whole expression that a node is a part of; None where the expression loses its gradient."""
    below = node
    for above in source.ancestors(node):
        match above:
            case cst.Attribute(attr=cst.Name(value=name)) if name in _LOSING_ATTRIBUTES:
                return None
            case cst.Call(func=cst.Attribute(attr=cst.Name(value=name))) if name in _LOSING_CALLS:
                return None
            case cst.Call(func=cst.Name(value=name)) if name in _LOSING_BUILTINS:
                return None
            case cst.Comparison() | cst.ComparisonTarget() | cst.FormattedStringExpression():
                return None
            case cst.Subscript(value=value) if value is not below:
                return None
            case cst.IfExp(test=test) if test is below:
                return None
            case cst.Lambda() | cst.NamedExpr() | cst.Yield():
                return above
            case cst.Call(func=cst.Attribute(attr=cst.Name(value="log")), args=[cst.Arg(value=first), *_]) if (
                isinstance(first, cst.SimpleString | cst.FormattedString | cst.Dict)
            ):
                # `self.log("loss", loss)` of a trainer, `wandb.log({...})`.
                return None
            case cst.BaseExpression() | cst.Arg() | cst.Element() | cst.DictElement() | cst.SubscriptElement():
                below = above
            case cst.Index():
                below = above
            case _:
                return above
    return source.module


class GradientUses:
    """What becomes of the values of one file: `source.fact(GradientUses)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names = source.fact(Names)
        self._spelled: dict[str, list[cst.Name]] | None = None
        self._loaded: dict[str, dict[int, list[cst.Name]]] = {}
        self._functions: dict[str, list[cst.FunctionDef]] | None = None

    def are_lost(self, node: cst.CSTNode) -> bool:
        """Whether no use of an expression's value, as far as this file tells, has a gradient to give back."""
        return self._is_lost(node, set())

    def is_off(self, node: cst.CSTNode) -> bool:
        """Whether a node stands under `no_grad`, by a `with` or a decorator."""
        for above in self._source.ancestors(node):
            match above:
                case cst.With(items=items) if any(self._switches_off(item.item) for item in items):
                    return True
                case cst.FunctionDef(decorators=decorators):
                    if any(self._switches_off(decorator.decorator) for decorator in decorators):
                        return True
        return False

    def uses(self, name: str, function: cst.CSTNode) -> list[cst.Name]:
        """Where a local name is read in an outermost function."""
        if name not in self._loaded:
            grouped: dict[int, list[cst.Name]] = defaultdict(list)
            for each in self._occurrences(name):
                outermost = self._outermost(each)
                if outermost is not None and self._is_read(each):
                    grouped[id(outermost)].append(each)
            self._loaded[name] = grouped
        return self._loaded[name].get(id(function), [])

    def _uses_in_file(self, name: str) -> list[cst.Name]:
        """Where a name of the module is read, or one that looks the same."""
        return [each for each in self._occurrences(name) if self._is_read(each)]

    def passed(self, function: cst.FunctionDef, parameter: str) -> list[cst.BaseExpression]:
        """What the calls of a function in this file pass for a parameter; nothing where one of them is not plain."""
        found = []
        for call in self._references(function):
            if call is None or not _is_own_call(call):
                return []
            given = [each.value for each in call.args if _parameter_of(function, call, each) == parameter]
            if not given:
                return []
            found += given
        return found

    def _is_lost(self, node: cst.CSTNode, seen: set[int]) -> bool:
        if id(node) in seen:
            return True
        if len(seen) >= _MOST_USES:
            return False
        seen.add(id(node))
        if self.is_off(node):
            return True
        if self._is_passed_in_vain(node, seen):
            return True
        end = _end_of_expression(self._source, node)
        match end:
            case None | cst.If() | cst.While() | cst.Assert() | cst.Raise() | cst.AssignTarget():
                return True
            case cst.Assign(targets=targets):
                return all(self._is_target_lost(target.target, node, seen) for target in targets)
            case cst.AnnAssign(target=target) | cst.AugAssign(target=target):
                return self._is_target_lost(target, node, seen)
            case cst.Return():
                return self._is_returned_in_vain(node, seen)
        return False

    def _is_passed_in_vain(self, node: cst.CSTNode, seen: set[int]) -> bool:
        """Whether the expression around a node is an argument of a function of this file that has no use for it."""
        below = node
        for above in self._source.ancestors(node):
            match above:
                case cst.Call():
                    function = self._called(above)
                    if function is not None and isinstance(below, cst.Arg):
                        name = _parameter_of(function, above, below)
                        outermost = self._outermost(function.body) if name is not None else None
                        uses = self.uses(name, outermost) if name is not None and outermost is not None else []
                        return bool(uses) and all(self._is_lost(use, seen) for use in uses)
                case cst.Lambda() | cst.NamedExpr() | cst.Yield():
                    return False
                case cst.BaseExpression() | cst.Arg() | cst.Element():
                    pass
                case _:
                    return False
            below = above
        return False

    def _called(self, call: cst.Call) -> cst.FunctionDef | None:
        """The one function of this file that a call is of."""
        if not _is_own_call(call):
            return None
        if self._functions is None:
            self._functions = defaultdict(list)
            for function in self._source.nodes(cst.FunctionDef):
                self._functions[function.name.value].append(function)
        found = self._functions.get(last_name(call.func), [])
        return found[0] if len(found) == 1 else None

    def _is_target_lost(self, target: cst.BaseExpression, node: cst.CSTNode, seen: set[int]) -> bool:
        """Whether no use of what an assignment binds has a gradient."""
        match target:
            case cst.Name(value=name):
                function = self._outermost(node)
                uses = self.uses(name, function) if function is not None else self._uses_in_file(name)
                return bool(uses) and all(self._is_lost(use, seen) for use in uses)
            case cst.Tuple(elements=elements):
                return all(self._is_target_lost(element.value, node, seen) for element in elements)
        return False

    def _is_returned_in_vain(self, node: cst.CSTNode, seen: set[int]) -> bool:
        """Whether all callers of the function around a node, which there are, throw the gradient away."""
        function = self._source.function_of(node)
        if not isinstance(function, cst.FunctionDef):
            return False
        name = function.name.value
        if name in _CALLED_BY_OTHERS or (name.startswith("__") and name.endswith("__")):
            return False
        calls = [*self._references(function)]
        is_called = any(call is not None and _is_own_call(call) for call in calls)
        return is_called and all(call is not None and self._is_call_lost(call, seen) for call in calls)

    def _is_call_lost(self, call: cst.Call, seen: set[int]) -> bool:
        if self._outermost(call) is None:
            return False
        return not is_trained_code(self._source, call) or self._is_lost(call, seen)

    def _references(self, function: cst.FunctionDef) -> Iterator[cst.Call | None]:
        """What calls something of a function's name outside of it; None for a mention that is no call."""
        for name in self._occurrences(function.name.value):
            parent = self._source.parent(name)
            is_inside = any(above is function for above in self._source.ancestors(name))
            if is_inside or (isinstance(parent, cst.Arg) and parent.keyword is name):
                continue
            whole = parent if isinstance(parent, cst.Attribute) and parent.attr is name else name
            above = self._source.parent(whole)
            yield above if isinstance(above, cst.Call) and above.func is whole else None

    def _occurrences(self, name: str) -> list[cst.Name]:
        if self._spelled is None:
            self._spelled = defaultdict(list)
            for node in self._source.nodes(cst.Name):
                self._spelled[node.value].append(node)
        return self._spelled.get(name, [])

    def _is_read(self, name: cst.Name) -> bool:
        """Whether a name is a variable that is read, or changed in part, where it stands."""
        parent = self._source.parent(name)
        match parent:
            case cst.Attribute(attr=attribute):
                return attribute is not name
            case cst.Arg(keyword=keyword):
                return keyword is not name
            case cst.AssignTarget() | cst.AnnAssign() | cst.AugAssign():
                return parent.target is not name
            case cst.Param() | cst.FunctionDef() | cst.AsName() | cst.ImportAlias():
                return False
            case cst.For(target=target) | cst.CompFor(target=target):
                return target is not name
            case cst.Element():
                holder = self._source.parent(parent)
                above = self._source.parent(holder) if holder is not None else None
                return not (isinstance(above, cst.AssignTarget | cst.For | cst.CompFor) and above.target is holder)
        return True

    def _outermost(self, node: cst.CSTNode) -> cst.FunctionDef | None:
        """The outermost function around a node: its variables may be read in the functions inside as well."""
        found = None
        for above in self._source.ancestors(node):
            if isinstance(above, cst.FunctionDef):
                found = above
        return found

    def _switches_off(self, node: cst.BaseExpression) -> bool:
        """Whether a context manager or decorator switches gradients off."""
        path = self._names.resolve(node.func if isinstance(node, cst.Call) else node)
        if path in NO_GRADIENT:
            return not (isinstance(node, cst.Call) and any(_is_false(argument.value) for argument in node.args))
        return path == "torch.set_grad_enabled" and isinstance(node, cst.Call) and _is_false(node.args[0].value)


def _parameter_of(function: cst.FunctionDef, call: cst.Call, argument: cst.Arg) -> str | None:
    """The parameter that an argument of a call is for; None where that is not plain."""
    if argument.star or any(each.star for each in call.args):
        return None
    if argument.keyword is not None:
        return argument.keyword.value
    names = [each.name.value for each in (*function.params.posonly_params, *function.params.params)]
    if names[:1] in (["self"], ["cls"]):
        names = names[1:]
    position = [*call.args].index(argument)
    return names[position] if position < len(names) else None


def _is_own_call(call: cst.Call) -> bool:
    """Whether a call by a name is one of a function of this file: `f(x)`, `self.f(x)`, and not `x.f()`."""
    match call.func:
        case cst.Name() | cst.Attribute(value=cst.Name(value="self" | "cls")):
            return True
    return False


def _is_false(node: cst.BaseExpression) -> bool:
    return last_name(node) == "False"
