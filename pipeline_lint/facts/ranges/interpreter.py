"""Statements and functions: follows values through assignments, branches, loops and calls of small functions.

Each function is read on its own, with parameters that hold what their defaults, annotations and names say; a function
or method of the same file that is called from it is read once more with the arguments of the call, as long as it is
small. Loops are read twice: once to see what they change, and once with what changes widened, which is a fixed point.
What cannot be followed gives a value of which nothing is known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.ranges.attributes import Attributes
from pipeline_lint.facts.ranges.conditions import effects
from pipeline_lint.facts.ranges.evaluator import AUGMENTED, Evaluator
from pipeline_lint.facts.ranges.priors import value_named
from pipeline_lint.facts.ranges.site import Mask
from pipeline_lint.facts.ranges.state import State, joined, widened
from pipeline_lint.facts.ranges.value import (
    INFINITY,
    NUMBER,
    OTHER,
    SEQUENCE,
    TENSOR,
    Evidence,
    Made,
    Value,
    join,
    narrowed,
)
from pipeline_lint.source import Source

_DEEPEST_CALL = 3
_LONGEST_FUNCTION = 60
"""Statements of a function that is read again where it is called."""
_MOST_INLINED = 20_000
"""Statements of a file that are read again at calls, all together: what keeps the time linear in the file's size."""
_DEEPEST_LOOP = 3
_NO_GRADIENT = frozenset(
    {"torch.no_grad", "torch.inference_mode", "torch.autograd.no_grad", "torch.autograd.inference_mode"}
)
_AUTOCASTS = frozenset({"torch.autocast", "torch.amp.autocast", "torch.cuda.amp.autocast", "torch.cpu.amp.autocast"})


class Interpreter(Evaluator):
    """Reads the functions of one file; `sites` then holds every operation that was met."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._attributes = source.fact(Attributes)
        self._globals: dict[str, Value] = {}
        self._functions = {node.name.value: node for node in _top_level(source.module.body, cst.FunctionDef)}
        self._attribute_values: dict[tuple[int, str], Value | None] = {}
        self._returned: list[Value] = []
        self._leaving: list[list[State]] = []
        self._call_depth = 0
        self._loop_depth = 0
        self._inlined = 0
        self._lengths: dict[int, int] = {}
        self._active: set[int] = set()
        self._owner: cst.ClassDef | None = None

    def read_module(self) -> None:
        """Reads the statements of the module; its functions are read by `read_function`."""
        state = State()
        self._block(self.source.module.body, state)
        bound_twice = self._bound_more_than_once()
        self._globals = {
            name: value
            for name, value in state.names.items()
            if name not in bound_twice and "." not in name and (value.kind in (NUMBER, OTHER) or value.is_constant)
        }

    def read_function(self, function: cst.FunctionDef) -> None:
        """Reads a function by itself, and the functions inside it."""
        self._owner = self.source.enclosing(function, cst.ClassDef)
        self._run(function, self._entry(function))

    def _run(self, function: cst.FunctionDef, state: State) -> Value:
        """Reads a function's body in a state that holds its parameters; what it gives back."""
        outer_returned, outer_function, outer_leaving = self._returned, self.applier.function, self._leaving
        self._returned, self._leaving = [], []
        self.applier.function = function
        if any(self._ends_gradients(decorator.decorator) for decorator in function.decorators):
            state.has_gradient = False
        self._block(function.body.body, state)
        returned = self._returned
        self._returned, self.applier.function, self._leaving = outer_returned, outer_function, outer_leaving
        if not returned:
            return Value(kind=OTHER)
        result = returned[0]
        for value in returned[1:]:
            result = join(result, value)
        return result

    def _entry(self, function: cst.FunctionDef) -> State:
        state = State()
        self.bind_parameters(function.params, state)
        return state

    # Names

    def global_value(self, name: str, at: cst.CSTNode) -> Value | None:
        return self._globals.get(name)

    def self_attribute(self, name: str, at: cst.CSTNode) -> Value | None:
        owner = self._owner
        if owner is None:
            return None
        key = (id(owner), name)
        if key not in self._attribute_values:
            self._attribute_values[key] = None
            self._attribute_values[key] = self._assigned_value(owner, name)
        value = self._attribute_values[key]
        return dataclasses.replace(value) if value is not None else None

    def _assigned_value(self, owner: cst.ClassDef, name: str) -> Value | None:
        expressions = self._attributes.assigned(owner, name)
        if not expressions or len(expressions) > 6:
            return None
        result: Value | None = None
        with self.recorder.paused():
            for expression in expressions:
                value = self._initial(expression)
                result = value if result is None else join(result, value)
        if result is not None and result.is_unknown and result.made is None:
            result = value_named(name) or result
        return result

    def _initial(self, expression: cst.BaseExpression | None) -> Value:
        """The value of an expression of another method, from the defaults of that method's parameters."""
        if expression is None:
            return Value()
        method = self.source.function_of(expression)
        state = self._entry(method) if isinstance(method, cst.FunctionDef) else State()
        if isinstance(expression, cst.Name | cst.BaseNumber | cst.Attribute | cst.UnaryOperation | cst.BinaryOperation):
            return self.evaluate(expression, state)
        if isinstance(expression, cst.Call | cst.IfExp | cst.BooleanOperation | cst.Tuple):
            value = self.evaluate(expression, state)
            # A tensor may be trained, or changed in place: only what it is made by stays.
            is_parameter = value.made is not None and value.made.operation == "parameter"
            return Value(kind=TENSOR, made=value.made) if is_parameter else value
        return Value()

    def bind_parameters(self, parameters: cst.Parameters, state: State) -> None:
        for parameter in _parameters(parameters):
            name = parameter.name.value
            state.names[name] = self._parameter(name, parameter, state)
        for starred in (parameters.star_arg, parameters.star_kwarg):
            if isinstance(starred, cst.Param):
                state.names[starred.name.value] = Value(kind=OTHER)

    def _parameter(self, name: str, parameter: cst.Param, state: State) -> Value:
        kind = _annotated_kind(parameter.annotation)
        default = parameter.default
        if default is not None and not (isinstance(default, cst.Name) and default.value == "None"):
            value = self.evaluate(default, State()) if isinstance(default, _CONSTANTS) else Value()
            if value.kind == NUMBER and value.is_constant and value.dtype != "bool":
                zero = Evidence(Confidence.LIKELY, f"`{name}` is 0 by default")
                return Value(
                    value.low,
                    value.high,
                    zero=zero if value.low == 0 else None,
                    at_low=zero if value.low == 0 else None,
                    kind=NUMBER,
                    dtype=value.dtype,
                    has_gradient=False,
                )
            if value.dtype == "bool":
                return Value(0.0, 1.0, kind=NUMBER, dtype="bool", has_gradient=False)
            if value.kind == OTHER:
                return Value(kind=OTHER, dtype=value.dtype)
        prior = value_named(name)
        if prior is not None and kind not in (OTHER, SEQUENCE, NUMBER):
            prior.kind = kind if kind == TENSOR else prior.kind
            return prior
        if kind == NUMBER:
            return Value(kind=NUMBER, has_gradient=False)
        return Value(kind=kind)

    # Statements

    def _block(self, statements: Sequence[cst.CSTNode], state: State) -> None:
        for statement in statements:
            if state.is_dead:
                return
            if statement.__class__ is cst.SimpleStatementLine:
                for part in statement.body:
                    self._small(part, state)
            else:
                self._compound(statement, state)

    def _suite(self, suite: cst.BaseSuite, state: State) -> None:
        if isinstance(suite, cst.SimpleStatementSuite):
            for part in suite.body:
                self._small(part, state)
        else:
            self._block(suite.body, state)

    def _small(self, node: cst.BaseSmallStatement, state: State) -> None:
        match node:
            case cst.Assign(targets=targets, value=value):
                result = self.evaluate(value, state)
                for target in targets:
                    self.bind(target.target, result, state)
            case cst.AnnAssign(target=target, value=value) if value is not None:
                self.bind(target, self.evaluate(value, state), state)
            case cst.AugAssign(target=target, operator=operator, value=value):
                left, right = self.evaluate(target, state), self.evaluate(value, state)
                name = AUGMENTED.get(operator.__class__, "unknown")
                result = self.operate(name, node, (target, value), (left, right), state)
                self.bind(target, result, state)
            case cst.Expr(value=value):
                self.evaluate(value, state)
            case cst.Return(value=value):
                self._returned.append(self.evaluate(value, state) if value is not None else Value(kind=OTHER))
                state.is_dead = True
            case cst.Raise(exc=raised):
                self.evaluate(raised, state)
                state.is_dead = True
            case cst.Assert(test=test):
                state.learn(effects(self.evaluate(test, state), is_met=True))
            case cst.Break() | cst.Continue():
                if self._leaving:
                    self._leaving[-1].append(state.copy())
                state.is_dead = True
            case cst.Del(target=target) if isinstance(target, cst.Name):
                state.names.pop(target.value, None)

    def _compound(self, node: cst.CSTNode, state: State) -> None:
        match node:
            case cst.If():
                self._if(node, state)
            case cst.For(target=target, iter=iterated, body=body, orelse=orelse):
                element = self.element_of(self.evaluate(iterated, state))
                self._loop(node, body, state, target=target, element=element)
                if orelse is not None:
                    self._suite(orelse.body, state)
            case cst.While(test=test, body=body, orelse=orelse):
                self._loop(node, body, state, test=test)
                if orelse is not None:
                    self._suite(orelse.body, state)
            case cst.With(items=items, body=body):
                self._with(items, body, state)
            case cst.Try() | cst.TryStar():
                self._try(node, state)
            case cst.Match(subject=subject, cases=cases):
                self._match(subject, cases, state)
            case cst.FunctionDef():
                self._nested(node, state)
            case cst.ClassDef():
                pass

    def _if(self, node: cst.If, state: State) -> None:
        test = self.evaluate(node.test, state)
        met, not_met = state.copy(), state.copy()
        met.learn(effects(test, is_met=True))
        not_met.learn(effects(test, is_met=False))
        self._suite(node.body, met)
        if isinstance(node.orelse, cst.If):
            self._if(node.orelse, not_met)
        elif node.orelse is not None:
            self._suite(node.orelse.body, not_met)
        state.become(joined(met, not_met))
        state.is_dead = met.is_dead and not_met.is_dead

    def _loop(
        self,
        node: cst.For | cst.While,
        body: cst.BaseSuite,
        state: State,
        *,
        target: cst.BaseExpression | None = None,
        element: Value | None = None,
        test: cst.BaseExpression | None = None,
    ) -> None:
        before = state.copy()
        if self._loop_depth >= _DEEPEST_LOOP:
            self._forget(body, state)
        else:
            self._loop_depth += 1
            trial = state.copy()
            with self.recorder.paused():
                self._round(body, trial, target, element, test)
            self._loop_depth -= 1
            state.become(widened(before, trial))
        self._loop_depth += 1
        inside = state.copy()
        self._round(body, inside, target, element, test)
        self._loop_depth -= 1
        state.become(joined(state, inside) if not inside.is_dead else state)
        state.is_dead = False
        if test is not None and not self._breaks(body):
            state.learn(effects(self._silently(test, state), is_met=False))

    def _round(
        self,
        body: cst.BaseSuite,
        state: State,
        target: cst.BaseExpression | None,
        element: Value | None,
        test: cst.BaseExpression | None,
    ) -> None:
        """One time through the body of a loop; the state afterwards is that of all ways out of it."""
        if target is not None and element is not None:
            self.bind(target, element, state)
        if test is not None:
            state.learn(effects(self.evaluate(test, state), is_met=True))
        self._leaving.append([])
        self._suite(body, state)
        for left in self._leaving.pop():
            state.become(joined(state, left))

    def _breaks(self, body: cst.BaseSuite) -> bool:
        waiting: list[cst.CSTNode] = list(body.body)
        while waiting:
            current = waiting.pop()
            if isinstance(current, cst.Break):
                return True
            if not isinstance(current, cst.BaseExpression):
                waiting.extend(current.children)
        return False

    def _silently(self, node: cst.BaseExpression, state: State) -> Value:
        with self.recorder.paused():
            return self.evaluate(node, state)

    def _forget(self, body: cst.BaseSuite, state: State) -> None:
        """In loops within loops within loops nothing is known of what the body assigns."""
        waiting: list[cst.CSTNode] = [body]
        while waiting:
            current = waiting.pop()
            match current:
                case cst.AssignTarget(target=target) | cst.AugAssign(target=target) | cst.For(target=target):
                    for name in _target_names(target):
                        state.names[name] = value_named(name) or Value()
            if not isinstance(current, cst.BaseExpression):
                waiting.extend(current.children)

    def _with(self, items: Sequence[cst.WithItem], body: cst.BaseSuite, state: State) -> None:
        had_gradient, outer_autocast = state.has_gradient, state.autocast
        for item in items:
            value = self.evaluate(item.item, state)
            if item.asname is not None:
                self.bind(item.asname.name, value, state)
            if self._ends_gradients(item.item):
                state.has_gradient = False
            elif self._resolved_call(item.item) == "torch.enable_grad":
                state.has_gradient = True
            state.autocast = self._autocast(item.item, state)
        self._suite(body, state)
        state.has_gradient, state.autocast = had_gradient, outer_autocast

    def _resolved_call(self, node: cst.BaseExpression) -> str | None:
        function = node.func if isinstance(node, cst.Call) else node
        return self.names.resolve(function)

    def _ends_gradients(self, node: cst.BaseExpression) -> bool:
        """Whether a context manager or decorator switches gradients off."""
        path = self._resolved_call(node)
        if path in _NO_GRADIENT:
            return not (isinstance(node, cst.Call) and any(_is_word(argument.value, "False") for argument in node.args))
        if path in ("torch.set_grad_enabled", "torch.autograd.set_grad_enabled"):
            return isinstance(node, cst.Call) and any(_is_word(argument.value, "False") for argument in node.args)
        return False

    def _autocast(self, node: cst.BaseExpression, state: State) -> str | None:
        """The dtype of the autocast region that a context manager opens; else that of the region around."""
        if not isinstance(node, cst.Call) or self.names.resolve(node.func) not in _AUTOCASTS:
            return state.autocast
        dtype, device = None, "cuda"
        for argument in node.args:
            name = argument.keyword.value if argument.keyword is not None else ""
            if name == "enabled" and _is_word(argument.value, "False"):
                return None
            found = self._silently(argument.value, state)
            if found.kind == OTHER and found.dtype is not None:
                dtype = found.dtype
            elif isinstance(argument.value, cst.SimpleString):
                device = str(argument.value.evaluated_value)
            elif name == "dtype":
                return state.autocast
        return dtype or ("bfloat16" if device == "cpu" else "float16")

    def _try(self, node: cst.Try | cst.TryStar, state: State) -> None:
        before = state.copy()
        self._suite(node.body, state)
        if node.orelse is not None and not state.is_dead:
            self._suite(node.orelse.body, state)
        for handler in node.handlers:
            handled = joined(before, state) if not state.is_dead else before.copy()
            self._suite(handler.body, handled)
            is_dead = state.is_dead and handled.is_dead
            state.become(joined(state, handled))
            state.is_dead = is_dead
        if node.finalbody is not None:
            is_dead, state.is_dead = state.is_dead, False
            self._suite(node.finalbody.body, state)
            state.is_dead |= is_dead

    def _match(self, subject: cst.BaseExpression, cases: Sequence[cst.MatchCase], state: State) -> None:
        self.evaluate(subject, state)
        result = state.copy()
        is_exhaustive = False
        ends = []
        for case in cases:
            branch = state.copy()
            for name in _pattern_names(case.pattern):
                branch.names[name] = value_named(name) or Value()
            if case.guard is not None:
                branch.learn(effects(self.evaluate(case.guard, branch), is_met=True))
            elif isinstance(case.pattern, cst.MatchAs) and case.pattern.pattern is None:
                is_exhaustive = True
            self._suite(case.body, branch)
            ends.append(branch)
        for number, branch in enumerate(ends):
            result = branch if number == 0 and is_exhaustive else joined(result, branch)
        state.become(result)
        state.is_dead = is_exhaustive and all(branch.is_dead for branch in ends)

    def _nested(self, function: cst.FunctionDef, state: State) -> None:
        """A function inside a function is read where it stands, with what the names around it hold."""
        if self.applier.function is None or self._call_depth:
            return
        inner = state.copy()
        inner.bounds = {}
        self.bind_parameters(function.params, inner)
        self._run(function, inner)

    # Assignments

    def bind(self, target: cst.BaseExpression, value: Value, state: State) -> None:
        match target:
            case cst.Name(value=name):
                state.names[name] = self._named(value, name)
            case cst.Attribute():
                path = _path_of(target)
                if path is not None:
                    state.names[path] = self._named(value, target.attr.value)
            case cst.Tuple(elements=elements) | cst.List(elements=elements):
                self._unpack(elements, value, state)
            case cst.Subscript():
                self._assign_item(target, value, state)
            case cst.StarredElement(value=inner):
                self.bind(inner, Value(kind=SEQUENCE), state)

    def _named(self, value: Value, name: str) -> Value:
        """The value, or what its new name says of one of which nothing is known."""
        if value.kind in (OTHER, SEQUENCE) or not value.is_unknown or value.at_low or value.at_high or value.zero:
            return value
        made = value.made
        if made is not None and made.operation not in ("call", "attribute"):
            return value
        prior = value_named(name)
        if prior is None:
            return value
        prior.number, prior.root, prior.made = value.number, value.root, value.made
        return prior

    def _unpack(self, elements: Sequence[cst.BaseElement], value: Value, state: State) -> None:
        items = value.items
        if items is not None and len(items) == len(elements):
            for element, item in zip(elements, items, strict=True):
                self.bind(element.value, item, state)
            return
        made = value.made
        is_extreme = made is not None and made.operation in ("max", "min", "median", "nanmedian", "topk", "sort")
        for position, element in enumerate(elements):
            if is_extreme:
                part = value if position == 0 else Value(kind=TENSOR, dtype="int64", has_gradient=False)
            elif value.kind == SEQUENCE and value.is_count:
                part = Value(0.0, INFINITY, kind=NUMBER, is_count=True, has_gradient=False)
            elif made is not None and made.operation in ("split", "chunk", "unbind", "tensor_split"):
                part = dataclasses.replace(value, number=self.numbers.fresh(), root=0)
            else:
                part = Value(
                    has_gradient=value.has_gradient, made=Made("call", made.node, made.inputs) if made else None
                )
            self.bind(element.value, part, state)

    def _assign_item(self, target: cst.Subscript, value: Value, state: State) -> None:
        """`x[i] = v` adds to what the elements can be; `x[x == 0] = 1` takes something away as well."""
        path = _path_of(target.value)
        if path is None:
            return
        old = self._silently(target.value, state)
        if old.kind in (OTHER, SEQUENCE):
            return
        kept = old
        match target.slice:
            case [cst.SubscriptElement(slice=cst.Index(value=index))]:
                mask = self._silently(index, state)
                if mask.dtype == "bool" or mask.made is not None:
                    known = effects(mask, is_met=False)
                    bounds = known.bounds.get(old.number)
                    if bounds is not None:
                        kept = narrowed(old, bounds[0], bounds[1], is_nonzero=bounds[2])
                    self.recorder.mask(old, Mask(target, "masked_fill", known.bounds))
        changed = dataclasses.replace(
            join(kept, value), number=self.numbers.fresh(), root=0, kind=old.kind, dtype=old.dtype
        )
        changed.made = old.made if kept is old else None
        if kept is old:
            # A few elements were changed; what was reached before still is.
            changed.at_low = changed.at_low or (old.at_low if changed.low == old.low else None)
            changed.at_high = changed.at_high or (old.at_high if changed.high == old.high else None)
        state.names[path] = changed

    # Calls

    def call_local(self, node: cst.Call, arguments: list[Value], state: State) -> Value | None:
        function = self._called_function(node)
        if function is None or self._call_depth >= _DEEPEST_CALL or id(function) in self._active:
            return None
        length = self._length(function)
        if length > _LONGEST_FUNCTION or self._inlined + length > _MOST_INLINED:
            return None
        inner = State()
        inner.has_gradient, inner.autocast = state.has_gradient, state.autocast
        inner.bounds, inner.nonempty = state.bounds.copy(), state.nonempty
        is_method = isinstance(node.func, cst.Attribute)
        if not self._bind_arguments(function, node, arguments, inner, is_method=is_method):
            return None
        if is_method:
            inner.names.update({name: value for name, value in state.names.items() if name.startswith("self.")})
        self._inlined += length
        owner, loop_depth = self._owner, self._loop_depth
        if not is_method:
            self._owner = None
        self._active.add(id(function))
        self._call_depth += 1
        with self.recorder.paused():
            result = self._run(function, inner)
        self._call_depth -= 1
        self._active.discard(id(function))
        self._owner, self._loop_depth = owner, loop_depth
        return result

    def _called_function(self, node: cst.Call) -> cst.FunctionDef | None:
        match node.func:
            case cst.Name(value=name):
                return self._functions.get(name)
            case cst.Attribute(value=cst.Name(value="self" | "cls"), attr=cst.Name(value=name)):
                return self._attributes.method(self._owner, name) if self._owner is not None else None
        return None

    def _bind_arguments(
        self, function: cst.FunctionDef, node: cst.Call, arguments: list[Value], inner: State, *, is_method: bool
    ) -> bool:
        """Gives the parameters what a call passes; False where that is not plain."""
        if any(argument.star for argument in node.args):
            return False
        self.bind_parameters(function.params, inner)
        parameters = [parameter.name.value for parameter in _parameters(function.params)]
        is_static = any(_is_word(decorator.decorator, "staticmethod") for decorator in function.decorators)
        if is_method and not is_static:
            parameters = parameters[1:]
        known = set(parameters)
        position = 0
        for argument, value in zip(node.args, arguments, strict=True):
            if argument.keyword is not None:
                name = argument.keyword.value
                if name not in known:
                    return False
            elif position < len(parameters):
                name = parameters[position]
                position += 1
            else:
                return False
            if not (value.is_unknown and value.kind != TENSOR and value.made is None) or name not in inner.names:
                inner.names[name] = value
        return True

    def _length(self, function: cst.FunctionDef) -> int:
        length = self._lengths.get(id(function))
        if length is None:
            length = self._lengths[id(function)] = _num_statements(function.body)
        return length

    def _bound_more_than_once(self) -> set[str]:
        seen: set[str] = set()
        twice: set[str] = set()
        for target in self.source.nodes(cst.AssignTarget):
            if isinstance(target.target, cst.Name) and self.source.function_of(target) is None:
                name = target.target.value
                (twice if name in seen else seen).add(name)
        for statement in self.source.nodes(cst.Global):
            twice.update(item.name.value for item in statement.names)
        return twice


_CONSTANTS = (
    cst.BaseNumber,
    cst.UnaryOperation,
    cst.BinaryOperation,
    cst.Name,
    cst.Attribute,
    cst.BaseString,
    cst.Call,
)


def _parameters(parameters: cst.Parameters) -> Iterator[cst.Param]:
    yield from parameters.posonly_params
    yield from parameters.params
    yield from parameters.kwonly_params


def _annotated_kind(annotation: cst.Annotation | None) -> str:
    if annotation is None:
        return "unknown"
    node = annotation.annotation
    if isinstance(node, cst.Subscript) and isinstance(node.value, cst.Name) and node.value.value == "Optional":
        part = node.slice[0].slice
        node = part.value if isinstance(part, cst.Index) else node
    name = node.attr.value if isinstance(node, cst.Attribute) else node.value if isinstance(node, cst.Name) else ""
    if isinstance(name, str):
        if name in ("Tensor", "FloatTensor", "LongTensor", "BoolTensor", "Variable"):
            return TENSOR
        if name in ("int", "float"):
            return NUMBER
        if name in ("str", "dict", "Dict", "Callable", "Module", "Path"):
            return OTHER
    return "unknown"


def _top_level(body: Sequence[cst.CSTNode], kind: type[cst.FunctionDef]) -> Iterator[cst.FunctionDef]:
    for statement in body:
        if isinstance(statement, kind):
            yield statement
        elif isinstance(statement, cst.If):
            yield from _top_level(statement.body.body, kind)


def _is_word(node: cst.BaseExpression, word: str) -> bool:
    return isinstance(node, cst.Name) and node.value == word


def _path_of(node: cst.BaseExpression) -> str | None:
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        before = _path_of(node.value)
        return f"{before}.{node.attr.value}" if before is not None else None
    return None


def _target_names(target: cst.BaseExpression) -> Iterator[str]:
    if isinstance(target, cst.Tuple | cst.List):
        for element in target.elements:
            yield from _target_names(element.value)
    else:
        path = _path_of(target.value if isinstance(target, cst.Subscript) else target)
        if path is not None:
            yield path


def _pattern_names(pattern: cst.CSTNode) -> Iterator[str]:
    waiting: list[cst.CSTNode] = [pattern]
    while waiting:
        node = waiting.pop()
        if isinstance(node, cst.MatchAs | cst.MatchStar) and node.name is not None:
            yield node.name.value
        waiting.extend(node.children)


def _num_statements(suite: cst.BaseSuite) -> int:
    count = 0
    waiting: list[cst.CSTNode] = list(suite.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, cst.SimpleStatementLine):
            count += len(node.body)
        elif not isinstance(node, cst.BaseExpression):
            count += 1
            waiting.extend(child for child in node.children if not isinstance(child, cst.BaseExpression))
    return count
