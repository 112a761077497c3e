"""TRN403: evaluation in training mode or with graphs, and training in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import safe_fix, unsafe_fix
from pipeline_lint.facts.loops.evaluations import Evaluation, summarize_evaluations
from pipeline_lint.facts.loops.modes import summarize_modes
from pipeline_lint.facts.modules import summarize_classes
from pipeline_lint.facts.project import Project
from pipeline_lint.rule import Finding, ProjectRule


class EvaluationWithoutEval(ProjectRule):
    """A model is evaluated in training mode or with its graph recorded, or trained in evaluation mode.

    In training mode dropout throws activations away, and batch norm takes the statistics of the batch at hand and mixes
    them into its running ones: the same sample gets another prediction in each call and in each company, and the test
    data have a part in the model that is then trained on. Without `no_grad` every activation is kept for a backward
    pass that never comes: the forward pass of six linear layers of width 1024 with a batch of 512 keeps 12 MiB instead
    of 2, and what collects the outputs of all batches keeps all graphs.

    `eval()` holds until `train()` is called. A validation in the middle of training that does not call it leaves all
    later epochs without dropout and with frozen batch norm. What `torch.inference_mode()` makes can never take part in
    a backward pass; a training step that uses it raises "Inference tensors cannot be saved for backward".

    Bad:
        def evaluate(model, loader, loss_function):
            total = 0.0
            for x, target in loader:
                total += loss_function(model(x), target).item()
            return total / len(loader)

        def train(model, optimizer, loader, loss_function):
            for x, target in loader:
                optimizer.zero_grad()
                loss_function(model(x), target).backward()
                optimizer.step()
    Good:
        import torch

        @torch.no_grad()
        def evaluate(model, loader, loss_function):
            model.eval()
            total = 0.0
            for x, target in loader:
                total += loss_function(model(x), target).item()
            model.train()
            return total / len(loader)

        def train(model, optimizer, loader, loss_function):
            for x, target in loader:
                optimizer.zero_grad()
                loss_function(model(x), target).backward()
                optimizer.step()
    Exempt: a function or loop of which neither its name nor that of its data says that it evaluates; callers in any
        file of the project that call `eval()` or stand under `no_grad`; steps that a framework calls (Lightning,
        Ignite, HF Trainer, fastai, Catalyst); code that differentiates on purpose (`autograd.grad`, attacks,
        saliency); generators of GANs, which many sample in training mode; `eval()` for models without dropout and
        batch norm; `volatile`; tests.
    Fix: Safe, unsafe for the modes: a function is decorated with `@torch.no_grad()`, which changes no number; `eval()`
        at its beginning and `train()` at that of a training round do change what is computed. There is none where the
        code is no function of its own, or the model is no parameter of it.
    Source: https://docs.pytorch.org/docs/stable/notes/autograd.html#locally-disabling-gradient-computation; the
        figures were measured with torch 2.13 on CPU.
    """

    code = "TRN403"
    triggers = ("torch", "backward(")
    summaries = (summarize_classes, summarize_evaluations, summarize_modes)

    def check_project(self, project: Project) -> Iterator[Finding]:
        """Evaluations that lack something wherever they are called from, and training in the wrong mode."""
        given = _given_by_callers(project)
        for path in project.paths:
            file = project.summary(summarize_evaluations, path)
            for evaluation in file.found if file is not None else ():
                has_eval, has_no_grad = given.get(evaluation.name, (False, False))
                finding = _finding(
                    evaluation,
                    lacks_eval=evaluation.lacks_eval and not has_eval and not _is_plain(project, path, evaluation),
                    lacks_no_grad=evaluation.lacks_no_grad
                    and not has_no_grad
                    and not _is_decorated(project, path, evaluation.method),
                )
                if finding is not None:
                    yield finding
            for defect in project.summary(summarize_modes, path) or ():
                yield Finding(defect.place, defect.message, defect.confidence, fix=defect.fix, related=defect.related)


def _given_by_callers(project: Project) -> dict[str, tuple[bool, bool]]:
    """By the name of a function: whether some file calls it below an `eval()`, and whether under `no_grad`."""
    found: dict[str, tuple[bool, bool]] = {}
    for path in project.paths:
        file = project.summary(summarize_evaluations, path)
        for name, (has_eval, has_no_grad) in ((file.calls or {}) if file is not None else {}).items():
            known = found.get(name, (False, False))
            found[name] = (known[0] or has_eval, known[1] or has_no_grad)
    return found


def _is_decorated(project: Project, path: str, method: str) -> bool:
    """Whether a method of that name runs without gradients in a file from which this one imports something."""
    own = project.summary(summarize_evaluations, path) if method else None
    for other in project.paths if own is not None else ():
        if own is not None and (other == path or PurePath(other).stem in own.imported):
            file = project.summary(summarize_evaluations, other)
            if file is not None and method in file.without_gradient:
                return True
    return False


def _is_plain(project: Project, path: str, evaluation: Evaluation) -> bool:
    """Whether the model's class is from a file of the project that has neither dropout nor batch norm nor the like."""
    found = project.find_class(evaluation.built_by, path) if evaluation.built_by else None
    file = project.summary(summarize_evaluations, found.path) if found is not None else None
    return file is not None and not file.is_regularized


def _finding(evaluation: Evaluation, *, lacks_eval: bool, lacks_no_grad: bool) -> Finding | None:
    if not lacks_eval and not lacks_no_grad:
        return None
    where = f"in `{evaluation.name}`" if evaluation.name and evaluation.is_named else "on evaluation data"
    if evaluation.is_loaded:
        where = "with loaded weights"
    missing, effects = [], []
    if lacks_eval:
        missing.append("`eval()`")
        effects.append("dropout and batch norm work as in training")
    if lacks_no_grad:
        missing.append("`no_grad`")
        effects.append("every activation is kept for a backward pass that never comes")
    return Finding(
        evaluation.place,
        f"`{evaluation.model}` is evaluated {where} without {' and '.join(missing)}, so {' and '.join(effects)}",
        confidence=Confidence.LIKELY,
        fix=_fix(evaluation, lacks_eval=lacks_eval, lacks_no_grad=lacks_no_grad),
    )


def _fix(evaluation: Evaluation, *, lacks_eval: bool, lacks_no_grad: bool) -> Fix | None:
    edits = []
    if lacks_no_grad and evaluation.no_grad is not None:
        edits += [*evaluation.no_grad_import, evaluation.no_grad]
    if lacks_eval and evaluation.eval_mode:
        return unsafe_fix("Evaluate in evaluation mode", *edits, *evaluation.eval_mode)
    return safe_fix("Decorate with `no_grad`", *edits) if edits else None
