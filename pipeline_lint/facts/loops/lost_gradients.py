"""Gradients that come to nothing: dropped before the step, not there yet, or used twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.loops.actions import Kind
from pipeline_lint.facts.loops.roles import Role, Roles, is_lbfgs
from pipeline_lint.facts.loops.traces import Happening, Loop, Traces
from pipeline_lint.source import Source


@dataclass(frozen=True, slots=True, eq=False)
class LostLoss:
    """A place where the work for a loss is lost."""

    node: cst.CSTNode
    message: str
    confidence: Confidence
    related: cst.CSTNode | None = None
    related_text: str = ""
    inverted_test: cst.BaseExpression | None = None
    """The condition to which `== 0` belongs."""
    late_zero: tuple[cst.CSTNode, cst.CSTNode] | None = None
    """A `zero_grad` and the step behind which it belongs."""


def lost_gradients(source: Source) -> Iterator[LostLoss]:
    """The places of a file where gradients are lost between a backward and a step, or two steps use the same."""
    traces, seen = source.fact(Traces), set[int]()
    for loop in traces.outermost_loops():
        trace = traces.of(loop)
        for found in (
            *_inverted_accumulation(source, trace),
            *_dropped_early(source, trace),
            *_dropped_in_each_round(source, trace),
            *_stepped_without_backward(source, loop, trace),
            *_twice_stepped(source, loop, trace),
        ):
            if id(found.node) not in seen:
                seen.add(id(found.node))
                yield found


def _inverted_accumulation(source: Source, trace: Sequence[Happening]) -> Iterator[LostLoss]:
    """`if index % num_batches: optimizer.step()`, which steps in all rounds but the right one."""
    for step in trace:
        if step.kind is not Kind.STEP or not step.frames:
            continue
        condition = step.frames[-1]
        match condition.node:
            case cst.If(test=cst.BinaryOperation(operator=cst.Modulo()) as test, orelse=None):
                is_accumulated = condition.block == "body" and any(
                    each.kind is Kind.BACKWARD and not each.is_in(condition.node) and each.loops == step.loops
                    for each in trace
                )
                is_reset = any(each.kind is Kind.ZERO and each.is_in(condition.node) for each in trace)
                if is_accumulated and is_reset:
                    yield LostLoss(
                        step.action.node,
                        f"`if {source.code(test)}` holds in every round but the one in which the gradients are "
                        "complete, and never if the number is 1; compare it with `== 0`",
                        Confidence.CERTAIN,
                        test,
                        "the condition",
                        inverted_test=test,
                    )


def _dropped_early(source: Source, trace: Sequence[Happening]) -> Iterator[LostLoss]:
    """`zero_grad` before the last backward of an accumulation, under the very condition of the step."""
    for index, zero in enumerate(trace):
        if zero.kind is not Kind.ZERO or not zero.frames:
            continue
        condition = _accumulation(source, zero)
        if condition is None:
            continue
        rest = trace[index + 1 :]
        for position, step in enumerate(rest):
            if step.kind is not Kind.STEP or step.loops != zero.loops or _accumulation(source, step) != condition:
                continue
            between = [each for each in rest[:position] if each.kind is Kind.BACKWARD and each.loops == zero.loops]
            if between and not between[0].is_in(zero.frames[-1].node):
                yield LostLoss(
                    zero.action.node,
                    f"gradients are dropped under the condition of the step, `{condition}`, right before its last "
                    "`backward`, so all earlier batches are lost; drop them behind the step",
                    Confidence.CERTAIN,
                    step.action.node,
                    "the step",
                    late_zero=(zero.action.node, step.action.node),
                )
            break


def _dropped_in_each_round(source: Source, trace: Sequence[Happening]) -> Iterator[LostLoss]:
    """`zero_grad` in every round of a loop whose optimizer steps in some of them."""
    for index, step in enumerate(trace):
        condition = _accumulation(source, step) if step.kind is Kind.STEP and step.frames else None
        if condition is None or not step.path:
            continue
        around = [each for each in trace if each.loops == step.loops]
        backwards = [each for each in trace[:index] if each.kind is Kind.BACKWARD and _runs_always(each, step)]
        zeros = [each for each in around if each.kind is Kind.ZERO and each.path == step.path]
        steps = [each for each in around if each.kind is Kind.STEP and each.path == step.path]
        early = [each for each in zeros if _runs_always(each, step) and each.calls == step.calls]
        if len(steps) == 1 and backwards and early and len(early) == len(zeros):
            yield LostLoss(
                early[0].action.node,
                f"gradients are dropped in every round, and `{step.path}` steps only if `{condition}`, so the batches "
                "in between are lost; drop them behind the step",
                Confidence.CERTAIN,
                step.action.node,
                "the step",
                late_zero=(early[0].action.node, step.action.node),
            )


def _runs_always(happening: Happening, step: Happening) -> bool:
    """Whether it stands in the block that holds the condition of a step, so that it runs in every round."""
    around = [frame for frame in step.frames[:-1] if not isinstance(frame.node, cst.With)]
    own = [frame for frame in happening.frames if not isinstance(frame.node, cst.With)]
    return len(own) == len(around) and all(a.is_same_block(b) for a, b in zip(own, around, strict=True))


def _stepped_without_backward(source: Source, loop: Loop, trace: Sequence[Happening]) -> Iterator[LostLoss]:
    """A step behind the `zero_grad` of the same optimizer, with no backward between them, beside others that have one.

    Where statements in between call something whose result nobody takes, that may be the backward.
    """
    roles = source.fact(Roles)
    for index, step in enumerate(trace):
        if step.kind is not Kind.STEP or not step.path or step.calls or step.action.value is not None:
            continue
        before = trace[index - 1] if index else None
        if before is None or before.kind is not Kind.ZERO or before.path != step.path or before.calls:
            continue
        own = [each for each in trace if each.kind is Kind.BACKWARD and not each.calls and each.loops == step.loops]
        is_torch = roles.part(step.path, loop).role is Role.OPTIMIZER
        if is_torch and own and _is_in_one_block(source, before, step):
            yield LostLoss(
                step.action.node,
                f"`{step.path}` steps after its gradients were dropped, with no `backward` in between, so it learns "
                "nothing; call `backward` on its loss",
                Confidence.LIKELY,
                before.action.node,
                "dropped here",
            )


def _is_in_one_block(source: Source, zero: Happening, step: Happening) -> bool:
    """Whether both are statements of one block, and what stands between them assigns all that it calls for."""
    first, last = source.statement_of(zero.action.node), source.statement_of(step.action.node)
    block = source.parent(first) if first is not None else None
    if not isinstance(block, cst.IndentedBlock) or last is None or source.parent(last) is not block:
        return False
    body = list(block.body)
    start, end = (next(i for i, each in enumerate(body) if each is statement) for statement in (first, last))
    between = body[start + 1 : end]
    return bool(between) and all(
        isinstance(each, cst.SimpleStatementLine)
        and all(isinstance(part, cst.Assign | cst.AnnAssign | cst.AugAssign) for part in each.body)
        for each in between
    )


def _accumulation(source: Source, happening: Happening) -> str | None:
    """The condition with a modulo that an action stands under, as it is written."""
    node = happening.frames[-1].node
    if isinstance(node, cst.If) and happening.frames[-1].block == "body":
        code = source.code(node.test)
        if "%" in code:
            return code
    return None


def _twice_stepped(source: Source, loop: Loop, trace: Sequence[Happening]) -> Iterator[LostLoss]:
    """A step, and another of the same optimizer behind it with the same gradients."""
    roles = source.fact(Roles)
    for index, step in enumerate(trace):
        if step.kind is not Kind.STEP or not step.path or (step.action.value is not None and not step.scaler):
            continue
        part = roles.part(step.path, loop)
        if is_lbfgs(part) or "[" in step.path or part.class_path.startswith(":"):
            continue
        for other in trace[index + 1 :]:
            if other.kind in (Kind.BACKWARD, Kind.ZERO, Kind.FOREIGN) or (
                other.kind is Kind.CALL and other.action.callee is None
            ):
                break
            is_same = other.kind is Kind.STEP and (other.path, other.loops, other.calls) == (
                step.path,
                step.loops,
                step.calls,
            )
            if is_same and other.may_run_with(step) and _is_before_all(step, other):
                yield LostLoss(
                    other.action.node,
                    f"`{step.path}` has stepped with these gradients before, so every update is made twice; "
                    "remove one of the two steps",
                    Confidence.CERTAIN if part.is_known else Confidence.LIKELY,
                    step.action.node,
                    "the first step",
                )


def _is_before_all(step: Happening, other: Happening) -> bool:
    """Whether the first step runs whenever the second does: it stands in a block around that of the second."""
    return len(step.frames) <= len(other.frames) and all(
        one.is_same_block(another) for one, another in zip(step.frames, other.frames, strict=False)
    )
