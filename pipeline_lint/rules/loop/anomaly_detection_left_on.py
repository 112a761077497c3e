"""TRN406: autograd's anomaly detection switched on for good."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import remove_statement, replace, unsafe_fix
from pipeline_lint.facts.code.guards import conditions
from pipeline_lint.facts.code.names import Names, dotted_name
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_SET = "torch.autograd.set_detect_anomaly"
_DETECT = "torch.autograd.detect_anomaly"
_TRAINER = re.compile(r"^(lightning|pytorch_lightning)(\.\w+)*\.Trainer$")
_DEBUG = re.compile(
    r"debug|anomal|diagnos|verbose|sanity|profil|check|inspect|test|(?<![a-z])(is_?)?nans?(?![a-z])", re.IGNORECASE
)
_MAIN = re.compile(r"__name__\s*==")


class AnomalyDetectionLeftOn(Rule):
    """Anomaly detection is on in every run, although it is made for the one run that looks for a bug.

    With anomaly detection autograd records the Python stack of every operation of the forward pass, and looks through
    every gradient of the backward pass for NaN, waiting for the GPU each time. Small models train several times slower.
    It is a switch of the whole process: a call left behind in one module slows everything that imports it, and nothing
    in the log says so.

    It is worth its price while a NaN is being hunted. Put it behind a flag or a debugging option, which is what this
    rule looks for, or leave it to `runtime_guard`, which sees the first non-finite number in a normal run and says
    which module and line made it.

    Bad:
        import torch

        torch.autograd.set_detect_anomaly(True)

        def train_step(model, batch, target, optimizer):
            optimizer.zero_grad()
            loss = ((model(batch) - target) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss
    Good:
        import torch

        def train_step(model, batch, target, optimizer):
            optimizer.zero_grad()
            loss = ((model(batch) - target) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss
    Exempt: a value that is not the literal True, such as `args.detect_anomaly`; code under a condition that speaks of
        debugging (`if debug:`, `if args.check_nan:`) or in a function named so; tests.
    Fix: Unsafe: the call is removed, or the `with` block is replaced by what it holds. The numbers stay the same, but a
        NaN in a backward pass raises an error no longer. There is none where the call's result is used, or where lines
        of the `with` block cannot be moved to the left because a string runs over several of them.
    Source: https://pytorch.org/docs/stable/autograd.html#anomaly-detection; "Efficient PyTorch: Supercharging the
        Training Pipeline" (E. Khvedchenya, 2020): anomaly detection is for debugging only, because it is slow.
    """

    code = "TRN406"
    triggers = ("detect_anomaly",)

    def check(self, source: Source) -> Iterator[Finding]:
        """Calls that switch anomaly detection on with a literal, in code that always runs."""
        if _is_test(source):
            return
        names = source.fact(Names)
        for call in source.nodes(cst.Call):
            path = names.resolve(call.func)
            if path is None:
                continue
            if path in (_SET, _DETECT) and _switches_on(source, call, path) and not _is_for_debugging(source, call):
                yield _found_call(source, call, path)
            elif _TRAINER.match(path) and not _is_for_debugging(source, call):
                argument = _argument(call, "detect_anomaly")
                if argument is not None and _is_true(argument) and not _is_true(_argument(call, "fast_dev_run")):
                    yield _found_argument(source, call, argument)


def _found_call(source: Source, call: cst.Call, path: str) -> Finding:
    return Finding(
        at=call,
        message=(
            f"`{path.rpartition('.')[2]}` is always on, which slows training severalfold on small models; "
            "remove it, or put it behind a debugging flag"
        ),
        confidence=_confidence(source, call),
        fix=lambda: _removal(source, call),
    )


def _found_argument(source: Source, call: cst.Call, argument: cst.Arg) -> Finding:
    return Finding(
        at=argument.value,
        message=(
            "`detect_anomaly=True` is always on, which slows training severalfold on small models; remove it, or give "
            "it a debugging flag"
        ),
        confidence=_confidence(source, call),
        fix=lambda: _argument_removal(source, call, argument),
    )


def _is_test(source: Source) -> bool:
    path = PurePath(source.path)
    is_named_so = path.stem.startswith("test_") or path.stem.endswith("_test") or path.stem == "conftest"
    return is_named_so or "debug" in path.stem or not {"tests", "test", "testing"}.isdisjoint(path.parts[:-1])


def _switches_on(source: Source, call: cst.Call, path: str) -> bool:
    """Whether the call has an effect, and is given nothing but literals."""
    if path == _SET:
        mode = _argument(call, "mode") or (call.args[0] if call.args and call.args[0].keyword is None else None)
        return _is_true(mode)
    parent = source.parent(call)
    if isinstance(parent, cst.Arg):
        above = source.parent(parent)
        return isinstance(above, cst.Call) and dotted_name(above.func).endswith("enter_context")
    return isinstance(parent, cst.WithItem)


def _argument(call: cst.Call, name: str) -> cst.Arg | None:
    return next((arg for arg in call.args if arg.keyword is not None and arg.keyword.value == name), None)


def _is_true(argument: cst.Arg | None) -> bool:
    return argument is not None and isinstance(argument.value, cst.Name) and argument.value.value == "True"


def _is_for_debugging(source: Source, call: cst.Call) -> bool:
    """Whether a condition or a function's name says so, or the call is all that a condition decides about."""
    for test in conditions(source, call):
        if _DEBUG.search(source.code(test)):
            return True
    for above in source.ancestors(call):
        if isinstance(above, cst.FunctionDef | cst.ClassDef) and _DEBUG.search(above.name.value):
            return True
    statement = source.statement_of(call)
    block = source.parent(statement) if statement is not None else None
    condition = source.parent(block) if block is not None else None
    if isinstance(condition, cst.Else):
        condition = source.parent(condition)
    is_switch = isinstance(condition, cst.If) and not _MAIN.search(source.code(condition.test))
    return is_switch and isinstance(block, cst.BaseSuite) and len(block.body) == 1


def _confidence(source: Source, call: cst.Call) -> Confidence:
    tests = [source.code(test) for test in conditions(source, call)]
    return Confidence.CERTAIN if all(_MAIN.search(test) for test in tests) else Confidence.LIKELY


def _removal(source: Source, call: cst.Call) -> Fix | None:
    match source.parent(call):
        case cst.Expr() as statement:
            return unsafe_fix("Remove the call", remove_statement(source, statement))
        case cst.WithItem(asname=None) as item:
            return _without_item(source, item)
    return None


def _without_item(source: Source, item: cst.WithItem) -> Fix | None:
    """The `with` without this item, or what it holds, moved to the left, where it has no other item."""
    block = source.parent(item)
    assert isinstance(block, cst.With)
    if len(block.items) > 1:
        if isinstance(block.lpar, cst.LeftParen):
            return None
        index = next(i for i, other in enumerate(block.items) if other is item)
        start, end = source.span(item.item)
        if index + 1 < len(block.items):
            end, _ = source.span(block.items[index + 1].item)
        else:
            before = block.items[index - 1]
            _, start = source.span(before.asname.name if before.asname is not None else before.item)
        return unsafe_fix("Remove the context manager", source.document.edit(start, end, ""))
    dedented = _dedented_body(source, block)
    if dedented is None:
        return None
    return unsafe_fix("Remove the `with` around the block", replace(source, block, dedented))


def _dedented_body(source: Source, block: cst.With) -> str | None:
    """The statements of a `with`, at its own indentation."""
    text = source.code(block)
    start, _ = source.span(block)
    _, items_end = source.span(block.items[-1].item)
    head = text[: text.index(":", items_end - start) + 1]
    if not isinstance(block.body, cst.IndentedBlock):
        return text[len(head) :].strip()
    behind, _, body = text[len(head) :].partition("\n")
    strings = (*source.nodes(cst.SimpleString), *source.nodes(cst.FormattedString))
    inside = [string for string in strings if block in source.ancestors(string)]
    if behind.strip() or any("\n" in source.code(string) for string in inside):
        return None
    outer, inner = _indentation(source, start), _indentation(source, source.span(block.body.body[0])[0])
    lines = body.split("\n")
    if not all(line.startswith(inner) or not line.strip() for line in lines):
        return None
    moved = "\n".join(outer + line[len(inner) :] if line.strip() else line for line in lines)
    return moved.strip()


def _argument_removal(source: Source, call: cst.Call, argument: cst.Arg) -> Fix | None:
    index = next(i for i, other in enumerate(call.args) if other is argument)
    assert argument.keyword is not None
    start, _ = source.span(argument.keyword)
    _, end = source.span(argument.value)
    if index + 1 < len(call.args):
        after = call.args[index + 1]
        end = source.text.index(after.star or "", end) if after.star else source.span(after.keyword or after.value)[0]
    elif index > 0:
        _, start = source.span(call.args[index - 1].value)
    else:
        start = source.text.index("(", source.span(call.func)[1]) + 1
        end = source.text.index(")", end)
    if "#" in source.text[start:end]:
        return None
    return unsafe_fix("Remove `detect_anomaly=True`", source.document.edit(start, end, ""))


def _indentation(source: Source, offset: int) -> str:
    line = source.document.line(source.document.row_of(offset))
    return line[: len(line) - len(line.lstrip())]
