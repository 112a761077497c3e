"""Training in the wrong mode: a model left in evaluation, graphs that are recorded for nobody, `inference_mode`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.edits import replace, safe_fix
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.loops.adversarial import attached_samples
from pipeline_lint.facts.loops.gradient_mode import GradientMode
from pipeline_lint.facts.loops.inference_training import inference_in_training
from pipeline_lint.facts.loops.left_modes import left_in_evaluation
from pipeline_lint.facts.loops.mode_defect import ModeDefect
from pipeline_lint.facts.loops.module_calls import ModuleCalls
from pipeline_lint.facts.loops.roles import path_of
from pipeline_lint.facts.trained_code import is_test_code
from pipeline_lint.source import Source, UnknownPosition

_WORDS = ("eval()", "inference_mode", "teacher", ".step(")


def summarize_modes(source: Source) -> tuple[ModeDefect, ...]:
    """The defects of a file, for `TRN403`."""
    if is_test_code(source) or not any(word in source.text for word in _WORDS):
        return ()
    try:
        return (
            *left_in_evaluation(source),
            *inference_in_training(source),
            *_recorded_teachers(source),
            *_attached_samples(source),
        )
    except UnknownPosition:
        return ()


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
