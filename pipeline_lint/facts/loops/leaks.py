"""Values that are kept from one round of a training loop to the next with the graph that they were computed by."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.code.names import Names, dotted_name
from pipeline_lint.facts.loops.actions import Kind, frames_of
from pipeline_lint.facts.loops.buffer_leaks import buffer_leaks
from pipeline_lint.facts.loops.gradient_mode import GradientMode
from pipeline_lint.facts.loops.graphs import Graphs
from pipeline_lint.facts.loops.leak import Leak
from pipeline_lint.facts.loops.roles import path_of, paths_in
from pipeline_lint.facts.loops.traces import Loop, Traces
from pipeline_lint.facts.modules import Modules
from pipeline_lint.facts.trained_code import is_test_code
from pipeline_lint.source import Source

_COLLECTING = {"append": 1, "extend": 1, "insert": 2, "add": 1}
"""Methods of lists and sets, with how many arguments they take."""
_FOR_NUMBERS = re.compile(r"^(np|numpy)\.(sum|mean|average|argmax|argmin|array|min|max|median|std)$")
_LOSS_CALL = re.compile(r"loss|criterion", re.IGNORECASE)


def leaks(source: Source) -> Iterator[Leak]:
    """Every value of a training loop that is kept with its graph. Tests run a few steps and compare what they keep."""
    if is_test_code(source):
        return
    finder = _Finder(source)
    yield from finder.sums()
    yield from finder.collections()
    yield from finder.meters()
    yield from buffer_leaks(source)
    yield from finder.handlers()


class _Finder:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._graphs = source.fact(Graphs)
        self._mode = source.fact(GradientMode)
        self._names = source.fact(Names)
        self._loops = _loops_with_backward(source)

    def sums(self) -> Iterator[Leak]:
        """`total += loss` and `total = total + loss`."""
        for augmented in self._source.nodes(cst.AugAssign):
            if isinstance(augmented.operator, cst.AddAssign):
                yield from self._kept(augmented, augmented.target, augmented.value, "added to")
        for target in self._source.nodes(cst.AssignTarget):
            assign = self._source.parent(target)
            path = path_of(self._source, target.target)
            if isinstance(assign, cst.Assign) and path and len(assign.targets) == 1:
                match assign.value:
                    case cst.BinaryOperation(left=left, operator=cst.Add(), right=right):
                        sides = {path_of(self._source, left): right, path_of(self._source, right): left}
                        if path in sides:
                            yield from self._kept(assign, target.target, sides[path], "added to")

    def collections(self) -> Iterator[Leak]:
        """`losses.append(loss)`."""
        for call in self._source.nodes(cst.Call):
            match call:
                case cst.Call(
                    func=cst.Attribute(value=holder, attr=cst.Name(value=name)),
                    args=[*_, cst.Arg(value=value)] as arguments,
                ) if len(arguments) == _COLLECTING.get(name) and not self._names.resolve(holder):
                    # A tracker that is imported detaches what it is given, or is looked at where it stands.
                    kept = list(self._kept(call, holder, value, "appended to"))
                    yield from kept or self._for_numbers(call, holder, value)

    def meters(self) -> Iterator[Leak]:
        """`meter.update(loss)` of a meter of the same file that adds up what it is given."""
        adding = _adding_meters(self._source)
        if not adding:
            return
        for call in self._source.nodes(cst.Call):
            match call:
                case cst.Call(
                    func=cst.Attribute(value=holder, attr=cst.Name(value="update")), args=[cst.Arg(value=value), *_]
                ) if self._made_by(holder) in adding:
                    parts = self._graphs.attached(value)
                    if parts and self._loop_around(call) is not None:
                        yield Leak(call, path_of(self._source, holder), parts, Confidence.CERTAIN, "added up by")

    def handlers(self) -> Iterator[Leak]:
        """`self.outputs.append(engine.state.output)` in a handler of Ignite, whose outputs carry their graphs."""
        if "state.output" not in self._source.text:
            return
        for call in self._source.nodes(cst.Call):
            match call:
                case cst.Call(
                    func=cst.Attribute(value=cst.Attribute() as holder, attr=cst.Name(value="append")),
                    args=[cst.Arg(value=cst.Name() as value)],
                ):
                    definition = self._source.fact(Flow).value_of(value)
                    if definition is None or self._mode.is_off(call):
                        continue
                    code = self._source.code(definition)
                    if "engine.state.output" in code and not re.search(r"detach|no_grad|\.item\(|numpy", code):
                        yield Leak(call, path_of(self._source, holder), (value,), Confidence.LIKELY, "appended to")

    def _kept(
        self, node: cst.CSTNode, holder: cst.BaseExpression, value: cst.BaseExpression, how: str
    ) -> Iterator[Leak]:
        path = _holder_path(self._source, holder)
        loop = self._loop_around(node)
        if not path or loop is None or self._graphs.is_differentiated(holder):
            return
        parts = self._graphs.attached(value)
        if not parts or self._mode.is_off(node) or self._is_fresh(path, loop) or self._feeds_loss(path, node):
            return
        if any(self._is_detached_by_choice(part, loop) for part in parts):
            return
        yield Leak(node, self._source.code(holder), parts, Confidence.CERTAIN, how)

    def _is_detached_by_choice(self, part: cst.BaseExpression, loop: Loop) -> bool:
        """Whether a branch of the loop detaches a variable: where it does not, somebody wants the graph."""
        return isinstance(part, cst.Name) and any(
            re.match(rf"{part.value}\.(detach|item|data)\b", self._source.code(assign.value)) is not None
            and any(path_of(self._source, target.target) == part.value for target in assign.targets)
            for assign in self._source.nodes(cst.Assign)
            if loop in self._source.ancestors(assign)
        )

    def _for_numbers(self, call: cst.Call, holder: cst.BaseExpression, value: cst.BaseExpression) -> Iterator[Leak]:
        """A list of losses that numpy alone reads, so that nobody differentiates them."""
        if not isinstance(holder, cst.Name) or not isinstance(value, cst.Call) or self._mode.is_off(call):
            return
        if not _LOSS_CALL.search(called_name(value)) or not frames_of(self._source, call):
            return
        scope = self._source.function_of(call) or self._source.module
        uses = [
            use
            for use in self._source.fact(Flow).uses(holder.value, within=scope)
            if self._source.parent(use) is not call.func
        ]
        if uses and all(self._is_read_by_numpy(use) for use in uses):
            yield Leak(call, holder.value, (value,), Confidence.LIKELY, "appended to")

    def _is_read_by_numpy(self, use: cst.Name) -> bool:
        argument = self._source.parent(use)
        call = self._source.parent(argument) if isinstance(argument, cst.Arg) else None
        return isinstance(call, cst.Call) and _FOR_NUMBERS.match(dotted_name(call.func)) is not None

    def _made_by(self, holder: cst.BaseExpression) -> str:
        if not isinstance(holder, cst.Name):
            return ""
        value = self._source.fact(Flow).value_of(holder)
        return dotted_name(value.func) if isinstance(value, cst.Call) else ""

    def _loop_around(self, node: cst.CSTNode) -> Loop | None:
        """The innermost loop around a node in which backward is called in each round."""
        for frame in reversed(frames_of(self._source, node)):
            if isinstance(frame.node, cst.For | cst.While) and frame.block == "body" and id(frame.node) in self._loops:
                return frame.node
        return None

    def _is_fresh(self, path: str, loop: Loop) -> bool:
        """Whether a variable is set anew in every round."""
        return any(
            path in _targets(self._source, target.target)
            and not _adds_to_itself(self._source, target, path)
            and any(above is loop for above in self._source.ancestors(target))
            for target in self._source.nodes(cst.AssignTarget)
        )

    def _feeds_loss(self, path: str, node: cst.CSTNode) -> bool:
        """Whether a variable is read where a value is computed that backward is called on."""
        scope = self._source.function_of(node) or self._source.module
        for target in self._source.nodes(cst.AssignTarget):
            assign = self._source.parent(target)
            if not isinstance(assign, cst.Assign) or scope not in self._source.ancestors(target):
                continue
            if self._graphs.is_differentiated(target.target) and path in paths_in(self._source, assign.value):
                return True
        return False


def _loops_with_backward(source: Source) -> set[int]:
    """The loops that call backward in each round, themselves or in a function, each as the innermost."""
    traces = source.fact(Traces)
    found: set[int] = set()
    for loop in traces.outermost_loops():
        for happening in traces.of(loop):
            if happening.kind is Kind.BACKWARD:
                own = [each for each in happening.loops if source.function_of(each) is source.function_of(loop)]
                found.add(id(own[-1]))
    return found


def _holder_path(source: Source, holder: cst.BaseExpression) -> str:
    """The variable that keeps a value, also in an element of it: `stats[name]` is `stats`."""
    while isinstance(holder, cst.Subscript):
        holder = holder.value
    return path_of(source, holder)


def _targets(source: Source, node: cst.BaseExpression) -> Iterator[str]:
    """The variables that an assignment gives values to, those of `a, b = 0, 0` too."""
    if isinstance(node, cst.Tuple | cst.List):
        for element in node.elements:
            yield from _targets(source, element.value)
    else:
        yield path_of(source, node)


def _adds_to_itself(source: Source, target: cst.AssignTarget, path: str) -> bool:
    assign = source.parent(target)
    return isinstance(assign, cst.Assign) and path in paths_in(source, assign.value)


def _adding_meters(source: Source) -> frozenset[str]:
    """Classes whose `update` adds what it is given to an attribute, as it is."""
    found = set()
    for view in source.fact(Modules).classes:
        update = view.methods.get("update")
        if update is None or len(update.params.params) < 2:
            continue
        value = update.params.params[1].name.value
        code = source.code(update)
        adds = re.search(rf"self\.\w+\s*(\+=|=\s*self\.\w+\s*\+)\s*{value}\b(?!\s*\.)", code)
        if adds and not re.search(rf"item\(|detach|no_grad|float\({value}|{value}\s*=|numpy", code):
            found.add(view.name)
    return frozenset(found)
