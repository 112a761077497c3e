"""The values of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.code.calls import Operation
from pipeline_lint.facts.operations.modules import MODULES, ModuleCall
from pipeline_lint.facts.ranges.applier import SEQUENTIAL, SUBMODULE
from pipeline_lint.facts.ranges.builtin_functions import BUILTIN_NAMES, BUILTINS
from pipeline_lint.facts.ranges.conditions import effects, mask_kind
from pipeline_lint.facts.ranges.distributions import call_method, construct
from pipeline_lint.facts.ranges.functions import call_local
from pipeline_lint.facts.ranges.memory import change_list, forget, is_inplace_name, store
from pipeline_lint.facts.ranges.priors import value_of_call
from pipeline_lint.facts.ranges.recorder import Use
from pipeline_lint.facts.ranges.site import Mask
from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.syntax import last_name, path_of
from pipeline_lint.facts.ranges.value import (
    NUMBER,
    OTHER,
    TENSOR,
    UNKNOWN,
    UNKNOWN_KIND,
    Evidence,
    Made,
    Value,
)
from pipeline_lint.facts.ranges.variables import attribute, global_value

if TYPE_CHECKING:
    from pipeline_lint.facts.ranges.run import Run


_OF_A_NUMBER = frozenset("sqrt log log2 log10 log1p exp floor ceil".split())
_UNBOUNDED = Evidence(Confidence.LIKELY, "a network output has no bounds")


def call(run: Run, node: cst.Call, state: State) -> Value:
    """The value of a call: an operation of the table, a module of torch, a function of Python or of this file."""
    operation = run.calls.operation(node)
    if operation is not None:
        return _operation_call(run, node, operation, state)
    function = node.func
    resolved = run.names.resolve(function)
    if resolved is not None:
        found = _known_function(run, node, resolved, state)
        if found is not None:
            return found
    if isinstance(function, cst.Name) and function.value in BUILTIN_NAMES and function.value not in state.names:
        arguments = [run.evaluate(argument.value, state) for argument in node.args]
        return _builtin_call(run, function.value, node, arguments)
    drawn = call_method(run, node, state)
    if drawn is not None:
        return drawn
    callee = _callee_of(run, function, state)
    arguments = [run.evaluate(argument.value, state) for argument in node.args]
    if callee is not None and callee.made is not None and callee.kind == OTHER:
        applied = run.applier.apply_module(callee, node, arguments, state)
        if applied is not None:
            return applied
    result = call_local(run, node, arguments, state)
    if result is not None:
        return result
    name = last_name(function)
    if name in ("_assert", "_check") and resolved is not None and resolved.startswith("torch.") and arguments:
        state.learn(effects(arguments[0], is_met=True))
    change_list(node, arguments, state)
    if is_inplace_name(name):
        # `nn.init.constant_(w, 1)`, and methods that are not in the table.
        for changed in (*(argument.value for argument in node.args), *_receiver(function)):
            path = path_of(changed)
            if path is not None:
                forget(path, state)
    if name == "is_nonzero":
        asked = arguments or [run.evaluate(receiver, state) for receiver in _receiver(function)]
        return Value(0.0, 1.0, kind=NUMBER, dtype="bool", has_gradient=False, made=Made(name, node, tuple(asked)))
    usual = value_of_call(name, arguments)
    if usual is not None:
        return usual
    result = Value(made=Made("call", node, tuple(arguments)))
    if callee is not None and callee.made is not None and callee.made.operation == SUBMODULE:
        result.at_high = _UNBOUNDED
    return result


def _receiver(function: cst.BaseExpression) -> tuple[cst.BaseExpression, ...]:
    return (function.value,) if isinstance(function, cst.Attribute) else ()


def _callee_of(run: Run, function: cst.BaseExpression, state: State) -> Value | None:
    """What is called, where that is a value of its own: `act(x)`, `self.act(x)`, `nn.Sigmoid()(x)`."""
    if isinstance(function, cst.Name):
        return state.names.get(function.value) or global_value(run, function.value)
    if isinstance(function, cst.Attribute):
        path = path_of(function)
        if path is not None and path.startswith("self.") and path.count(".") == 1:
            return attribute(run, function, state)
        run.evaluate(function.value, state)
        return None
    return run.evaluate(function, state)


def _builtin_call(run: Run, name: str, node: cst.Call, arguments: list[Value]) -> Value:
    result = BUILTINS[name](node, arguments)
    return run.numbers.numbered(result, (name, *(value.number for value in arguments)))


def _known_function(run: Run, node: cst.Call, path: str, state: State) -> Value | None:
    """The result of a function of torch or of the standard library that is no row of the table."""
    root = path.partition(".")[0]
    if path in ("torch.finfo", "numpy.finfo"):
        dtype = run.evaluate(node.args[0].value, state) if node.args else UNKNOWN
        return Value(kind=OTHER, dtype=dtype.dtype, made=Made("finfo", node, (dtype,)))
    if path in MODULES:
        return Value(kind=OTHER, made=Made(path, node, _settings(run, node, MODULES[path], state)))
    if path == "torch.nn.Parameter":
        for argument in node.args:
            run.evaluate(argument.value, state)
        return Value(kind=TENSOR, made=Made("parameter", node, ()))
    if path == SEQUENTIAL:
        items = tuple(run.evaluate(argument.value, state) for argument in node.args if not argument.star)
        return Value(kind=OTHER, made=Made(path, node, items), items=items)
    if path == "dataclasses.field":
        default = next((each.value for each in node.args if each.keyword and each.keyword.value == "default"), None)
        return run.evaluate(default, state) if default is not None else None
    if root == "math" and path.removeprefix("math.") in BUILTINS:
        arguments = [run.evaluate(argument.value, state) for argument in node.args]
        return _builtin_call(run, path.removeprefix("math."), node, arguments)
    distribution = construct(run, node, path, state)
    if distribution is not None:
        return distribution
    if root in ("numpy", "math"):
        arguments = [run.evaluate(argument.value, state) for argument in node.args]
        name = path.removeprefix("numpy.")
        if name in _OF_A_NUMBER and len(arguments) == 1 and arguments[0].kind == NUMBER:
            # `np.log(2 * np.pi)` in formulas of torch.
            return _builtin_call(run, name, node, arguments)
        return Value(kind=OTHER if root == "numpy" else NUMBER, has_gradient=False)
    return None


def _settings(run: Run, node: cst.Call, module: ModuleCall, state: State) -> tuple[Value, ...]:
    """What the constructor of a module is given, in the order of its settings; `UNKNOWN` for what it is not."""
    found = {}
    for name, argument in zip(module.settings, node.args, strict=False):
        if argument.keyword is None and not argument.star:
            found[name] = run.evaluate(argument.value, state)
    for argument in node.args:
        if argument.keyword is not None:
            found[argument.keyword.value] = run.evaluate(argument.value, state)
    return tuple(found.get(name, UNKNOWN) for name in module.settings)


def _operation_call(run: Run, node: cst.Call, operation: Operation, state: State) -> Value:
    if operation.name == "where" and {"condition", "input", "other"} <= operation.operands.keys():
        return _where_call(run, node, operation, state)
    values: dict[str, Value] = {}
    for name, argument in operation.operands.items():
        values[name] = run.evaluate(argument, state)
    rest = tuple(run.evaluate(argument, state) for argument in operation.rest)
    name = operation.name
    if name == "masked_select" and "mask" in values:
        known = effects(values["mask"], is_met=True)
        kind = mask_kind("index", values["mask"], values["input"])
        run.recorder.mask(values["input"], Mask(node, kind, known.bounds))
        inner = state.copy()
        inner.learn(known)
        values["input"] = inner.refined(values["input"])
    elif name == "masked_fill" and "mask" in values:
        known = effects(values["mask"], is_met=False)
        kind = mask_kind("masked_fill", values["mask"], values["input"])
        run.recorder.mask(values["input"], Mask(node, kind, known.bounds))
        inner = state.copy()
        inner.learn(known)
        values["input"] = inner.refined(values["input"])
    elif name == "nan_to_num":
        run.recorder.mask(values.get("input", UNKNOWN), Mask(node, "nan_to_num", {}))
    result = run.applier.apply(Use(name, node, operation.operands, values, rest), state)
    if name == "masked_select" and "mask" in values:
        result.made = Made("masked_select", node, (values["input"], values["mask"]))
    if result.kind == UNKNOWN_KIND:
        result.kind = TENSOR
    changed = operation.operands.get("input") if operation.is_inplace else operation.operands.get("out")
    if changed is not None:
        # `x.relu_()`, and `torch.relu_(x)` as well.
        store(run, changed, result, state)
    return result


def _where_call(run: Run, node: cst.Call, operation: Operation, state: State) -> Value:
    """`torch.where`: each branch is evaluated with what the condition says there."""
    operands = operation.operands
    condition = run.evaluate(operands["condition"], state)
    values = {"condition": condition}
    for name, is_met in (("input", True), ("other", False)):
        known = effects(condition, is_met=is_met)
        branch = state.copy()
        # Both branches are evaluated, and what they do to variables stays.
        branch.names = state.names
        branch.learn(known)
        if known.bounds and not isinstance(operands[name], cst.Name | cst.BaseNumber):
            with run.recorder.unguarded():
                run.evaluate(operands[name], state)
            values[name] = run.evaluate(operands[name], branch)
        else:
            values[name] = run.evaluate(operands[name], branch)
            run.recorder.mask(values[name], Mask(node, mask_kind("where", condition, values[name]), known.bounds))
    return run.applier.apply(Use("where", node, operands, values), state)
