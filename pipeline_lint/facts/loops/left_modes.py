"""Models that a loop trains after `eval()`, with no `train()` in between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import insert_before, replace, unsafe_fix
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.loops.actions import Actions, Frame, Kind, frames_of, parameter_mapping
from pipeline_lint.facts.loops.mode_defect import ModeDefect
from pipeline_lint.facts.loops.roles import Roles, path_of
from pipeline_lint.facts.loops.traces import Loop, Traces
from pipeline_lint.source import Source


@dataclass(frozen=True, slots=True, eq=False)
class _Switch:
    """`model.eval()` or `model.train()`, as a loop meets it."""

    call: cst.Call
    model: str
    is_training: bool
    frames: tuple[Frame, ...]


def left_in_evaluation(source: Source) -> Iterator[ModeDefect]:
    """Loops that train after `eval()`, with no `train()` in between."""
    traces, reported = source.fact(Traces), set[int]()
    switches = _switches(source)
    if not switches:
        return
    for loop in traces.outermost_loops():
        trace = traces.of(loop)
        steps = [each for each in trace if each.kind is Kind.STEP and each.path]
        backwards = [each for each in trace if each.kind is Kind.BACKWARD]
        if not steps or not backwards:
            continue
        inside = _within(source, switches, loop)
        before = _right_before(source, switches, loop)
        trained = _trained_models(source, loop, [step.path for step in steps])
        # Who switches to training right before the loop means the model that it trains.
        trained |= {switch.model for switch in before if switch.is_training}
        for switch in (*inside, *before):
            if switch.is_training or switch.model not in trained or id(switch.call) in reported:
                continue
            # Another name may mean the same model, so any switch back is taken for one of it.
            if any(other.is_training for other in (*inside, *_later(before, switch))):
                continue
            reported.add(id(switch.call))
            yield _left(source, switch, steps[0].action.node, is_inside=switch in inside, loop=loop)


def _left(source: Source, switch: _Switch, step: cst.CSTNode, *, is_inside: bool, loop: Loop) -> ModeDefect:
    model = switch.model
    if is_inside:
        problem = f"`{model}.eval()` is never undone in the loop that trains it, so from the second round on"
    else:
        problem = f"`{model}.eval()` stands before the loop that trains it, so"
    return ModeDefect(
        source.place(switch.call),
        f"{problem} dropout is off and batch norm does not learn; call `{model}.train()` "
        f"{'at the beginning of each round' if is_inside else 'instead'}",
        Confidence.LIKELY,
        _train_fix(source, switch, loop, is_inside=is_inside),
        ((source.place(step), "the training"),),
    )


def _train_fix(source: Source, switch: _Switch, loop: Loop, *, is_inside: bool) -> Fix | None:
    if not is_inside:
        return unsafe_fix("Train in training mode", replace(source, switch.call, f"{switch.model}.train()"))
    if not isinstance(loop.body, cst.IndentedBlock):
        return None
    first = loop.body.body[0]
    return unsafe_fix(
        f"Begin each round with `{switch.model}.train()`", insert_before(source, first, f"{switch.model}.train()")
    )


def _switches(source: Source) -> list[_Switch]:
    found = []
    for call in source.nodes(cst.Call):
        name = called_name(call)
        if name not in ("eval", "train") or not isinstance(call.func, cst.Attribute):
            continue
        model = path_of(source, call.func.value)
        if model:
            argument = call.args[0].value if call.args else None
            is_off = isinstance(argument, cst.Name) and argument.value == "False"
            is_training = name == "train" and not is_off
            found.append(_Switch(call, model, is_training, frames_of(source, call)))
    return found


def _within(source: Source, switches: Sequence[_Switch], loop: Loop) -> list[_Switch]:
    """The switches in a loop and in the functions of the file that it calls, with models as the loop names them."""
    functions = _functions_called(source, loop)
    found = []
    for switch in switches:
        scope = source.function_of(switch.call)
        if any(frame.node is loop for frame in switch.frames):
            found.append(switch)
        elif isinstance(scope, cst.FunctionDef) and id(scope) in functions:
            found.extend(
                _Switch(switch.call, names.get(switch.model, switch.model), switch.is_training, switch.frames)
                for names in functions[id(scope)]
            )
    return found


def _functions_called(source: Source, loop: Loop) -> dict[int, list[dict[str, str]]]:
    """The functions of the file that a loop runs, and for each call the arguments by parameter."""
    actions = source.fact(Actions)
    found: dict[int, list[dict[str, str]]] = {}
    waiting: list[tuple[cst.CSTNode, dict[str, str], int]] = [(loop, {}, 0)]
    scope = source.function_of(loop) or source.module
    while waiting:
        root, names, depth = waiting.pop()
        for action in actions.of(scope if root is loop else root):
            if action.kind is not Kind.CALL or action.callee is None or depth > 4:
                continue
            if root is loop and not any(frame.node is loop for frame in actions.frames(action)):
                continue
            assert isinstance(action.node, cst.Call)
            given = {
                name: names.get(path, path)
                for name, path in parameter_mapping(action.node, action.callee, source).items()
            }
            known = found.setdefault(id(action.callee), [])
            if given not in known:
                known.append(given)
                waiting.append((action.callee, given, depth + 1))
    return found


def _right_before(source: Source, switches: Sequence[_Switch], loop: Loop) -> list[_Switch]:
    """The switches in the statements of the loop's own block that stand before it."""
    block = source.parent(loop)
    if not isinstance(block, cst.IndentedBlock | cst.Module):
        return []
    before: list[_Switch] = []
    for statement in block.body:
        if statement is loop:
            return before
        if isinstance(statement, cst.SimpleStatementLine):
            before += [switch for switch in switches if source.statement_of(switch.call) is statement]
    return before


def _later(switches: Sequence[_Switch], switch: _Switch) -> Sequence[_Switch]:
    return switches[switches.index(switch) + 1 :] if switch in switches else ()


def _trained_models(source: Source, loop: Loop, optimizers: Sequence[str]) -> frozenset[str]:
    """The models whose parameters the optimizers of a loop surely have."""
    roles = source.fact(Roles)
    found: set[str] = set()
    for optimizer in optimizers:
        found |= roles.owned(optimizer, loop) or frozenset()
    return frozenset(found)
