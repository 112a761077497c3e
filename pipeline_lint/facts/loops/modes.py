"""Training in the wrong mode: a model left in evaluation, `inference_mode` around what is trained on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Fix, Place
from pipeline_lint.edits import insert_before, replace, safe_fix, unsafe_fix
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.loops.actions import Actions, Frame, Kind, frames_of
from pipeline_lint.facts.loops.adversarial import attached_samples
from pipeline_lint.facts.loops.gradient_mode import GradientMode
from pipeline_lint.facts.loops.module_calls import ModuleCalls
from pipeline_lint.facts.loops.roles import Roles, path_of
from pipeline_lint.facts.loops.traces import Loop, Traces
from pipeline_lint.facts.trained_code import is_test_code
from pipeline_lint.source import Source, UnknownPosition

_WORDS = ("eval()", "inference_mode", "teacher", ".step(")
_TRAINED_METHODS = re.compile(
    r"^(forward|training_step|p_losses|compute_loss|loss|get_loss|calc_loss|train_step|step)$"
)


@dataclass(frozen=True, slots=True)
class ModeDefect:
    """A place where training runs in the wrong mode."""

    place: Place
    message: str
    confidence: Confidence
    fix: Fix | None = None
    related: tuple[tuple[Place, str], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Switch:
    """`model.eval()` or `model.train()`, as a loop meets it."""

    call: cst.Call
    model: str
    is_training: bool
    frames: tuple[Frame, ...]


def summarize_modes(source: Source) -> tuple[ModeDefect, ...]:
    """The defects of a file, for `TRN403`."""
    if is_test_code(source) or not any(word in source.text for word in _WORDS):
        return ()
    try:
        return (
            *_left_in_evaluation(source),
            *_inference_in_training(source),
            *_recorded_teachers(source),
            *_attached_samples(source),
        )
    except UnknownPosition:
        return ()


def _left_in_evaluation(source: Source) -> Iterator[ModeDefect]:
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
    from pipeline_lint.facts.loops.actions import parameter_mapping

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
    """The models whose parameters the optimizers of a loop surely have, and those that the file calls `train()` of."""
    roles = source.fact(Roles)
    found: set[str] = set()
    for optimizer in optimizers:
        found |= roles.owned(optimizer, loop) or frozenset()
    return frozenset(found)


def _inference_in_training(source: Source) -> Iterator[ModeDefect]:
    """Tensors made in `inference_mode` that a function which is trained uses afterwards."""
    names = source.fact(Names)
    for block in source.nodes(cst.With):
        item = next((each for each in block.items if _is_inference_mode(source, each.item)), None)
        function = source.function_of(block)
        if item is None or not isinstance(function, cst.FunctionDef) or not isinstance(item.item, cst.Call):
            continue
        is_trained = _TRAINED_METHODS.match(function.name.value)
        outer = source.parent(block)
        if not is_trained or outer is None or source.fact(GradientMode).is_off(outer):
            continue
        made = _names_bound(block)
        used = next((use for use in _uses_after(source, function, block) if use.value in made), None)
        if used is None or "clone(" in source.code(block) or "is_inference" in source.text:
            continue
        reference = names.reference("torch.no_grad", at=block)
        fix = safe_fix("Use `no_grad`", *reference.edits, replace(source, item.item.func, reference.code))
        yield ModeDefect(
            source.place(item.item),
            f"`{used.value}` is made in `inference_mode` and used in what is trained, where autograd raises as soon as "
            "it has to save it for the backward pass; write `torch.no_grad()`",
            Confidence.LIKELY,
            fix,
            ((source.place(used), "used here"),),
        )


def _recorded_teachers(source: Source) -> Iterator[ModeDefect]:
    """A teacher that is run with its graph, though nothing trains it."""
    mode = source.fact(GradientMode)
    text = source.text
    if "requires_grad" in text or "EMA" in text or re.search(r"teacher\w*\.parameters\(\)", text):
        return
    for call in source.fact(ModuleCalls).calls + _teacher_calls(source):
        path = path_of(source, call.func)
        if not re.search(r"(^|[._])teacher(_?(model|net|network))?$", path) or mode.is_off(call):
            continue
        function = source.function_of(call)
        if not isinstance(function, cst.FunctionDef) or re.search(r"eval|test|valid", function.name.value):
            continue
        # Where the function has it both ways, by a condition, the graph is wanted.
        if re.search(r"no_grad|set_grad_enabled", source.code(function)):
            continue
        yield ModeDefect(
            source.place(call),
            f"`{path}` is not trained, and its forward pass is recorded for a backward pass all the same, which "
            "takes the memory of all its activations; call it under `torch.no_grad()`",
            Confidence.LIKELY,
        )


def _attached_samples(source: Source) -> Iterator[ModeDefect]:
    """Samples of a generator whose graph the discriminator's backward goes through for nothing."""
    for found in attached_samples(source):
        sample = found.sample.value
        yield ModeDefect(
            source.place(found.sample),
            f"`{sample}` carries the graph of `{found.generator}` into the training of `{found.discriminator}`, whose "
            f"backward goes through both for gradients that are thrown away; write `{sample}.detach()`",
            Confidence.LIKELY,
            safe_fix("Detach the sample", replace(source, found.sample, f"{sample}.detach()")),
            ((source.place(found.generated), "generated here"),),
        )


def _teacher_calls(source: Source) -> tuple[cst.Call, ...]:
    known = {id(call) for call in source.fact(ModuleCalls).calls}
    return tuple(
        call
        for call in source.nodes(cst.Call)
        if id(call) not in known
        and re.fullmatch(r"teacher(_?(model|net|network))?", called_name(call))
        and call.args
        and path_of(source, call.func)
    )


def _is_inference_mode(source: Source, node: cst.BaseExpression) -> bool:
    match node:
        case cst.Call(func=function, args=[]):
            return source.fact(Names).resolve(function) == "torch.inference_mode"
    return False


def _names_bound(block: cst.With) -> set[str]:
    found: set[str] = set()
    waiting: list[cst.CSTNode] = [block.body]
    while waiting:
        node = waiting.pop()
        match node:
            case cst.AssignTarget(target=cst.Name(value=name)):
                found.add(name)
            case cst.AssignTarget(target=cst.Tuple(elements=elements)):
                found.update(each.value.value for each in elements if isinstance(each.value, cst.Name))
        waiting.extend(node.children)
    return found


def _uses_after(source: Source, function: cst.FunctionDef, block: cst.With) -> Iterator[cst.Name]:
    _, end = source.span(block)
    for node in source.nodes(cst.Name):
        if source.function_of(node) is not function or isinstance(source.parent(node), cst.AssignTarget):
            continue
        if source.span(node)[0] > end and isinstance(source.parent(node), cst.Arg | cst.BinaryOperation):
            yield node
