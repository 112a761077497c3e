"""TRN104: a model or dataset whose result has another form on another path."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline_lint.diagnostic import Confidence, Place
from pipeline_lint.facts.code.branches import Switch, separating_switch
from pipeline_lint.facts.membership import dataset_confidence, module_confidence
from pipeline_lint.facts.modules import ClassSummary, summarize_classes
from pipeline_lint.facts.outputs.naming import legacy_free
from pipeline_lint.facts.outputs.returns import MethodOutputs, Output
from pipeline_lint.facts.outputs.shapes import Shape
from pipeline_lint.facts.project import Project
from pipeline_lint.rule import Finding, ProjectRule

_CONFIDENCES = {
    Switch.DATA: Confidence.CERTAIN,
    Switch.ARGUMENT: Confidence.LIKELY,
    Switch.MODE: Confidence.POSSIBLE,
}
_REASONS = {
    Switch.DATA: "depends on the data",
    Switch.ARGUMENT: "depends on an argument or setting",
    Switch.MODE: "depends on the mode or the kind of input",
}


@dataclass(frozen=True, slots=True)
class _Difference:
    """Two results of one method that callers cannot treat alike."""

    place: Place
    found: str
    other: Output
    switch: Switch
    advice: str


class InconsistentOutput(ProjectRule):
    """A `forward` or `__getitem__` gives results of different forms on different paths.

    A tuple of two on one path and of three on another, a tuple here and a tensor there, dicts with different keys, or
    nothing at all where a path ends without a `return`: the caller has to know which path ran. Code that unpacks
    `logits, attention = model(x)` works until the other path is taken; where that is decided by the data, the crash
    comes hours into training. A dataset that gives None for a broken sample stops the loader in `default_collate`.

    How sure a finding is follows from who decides between the paths: computed values (certain), an argument or a
    setting of the object, such as `return_attention` (likely), training against evaluation, scripting, export, the type
    of a value, or a chain of `elif` over a setting (possible, so not shown by default).

    Bad:
        import torch
        from torch import nn

        class Matcher(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.scores = nn.Linear(8, 1)

            def forward(self, x):
                scores = self.scores(x)
                if scores.max() < 0:
                    return scores
                return scores, scores.argmax(dim=0)

    Good:
        import torch
        from torch import nn

        class Matcher(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.scores = nn.Linear(8, 1)

            def forward(self, x):
                scores = self.scores(x)
                is_match = scores.max() >= 0
                return {"scores": scores, "best": scores.argmax(dim=0), "is_match": is_match}

    Exempt:
        Paths that raise; results that the code alone does not tell apart, such as what other functions return; None
        where the annotation says so (`Tensor | None`) or where an argument is missing (`if x is None: return None`);
        keys that are added to one dict under a condition; the tuple that a caller asks for by `return_dict=False`.
    Fix:
        None: which form the callers want is not in the code.
    Source:
        https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.default_collate; `torch.jit.script` and
        `torch.export` refuse such functions.
    """

    code = "TRN104"
    triggers = ("forward", "__getitem__")
    summaries = (summarize_classes,)

    def check_project(self, project: Project) -> Iterator[Finding]:
        """One finding for each method, at the two results that differ most surely."""
        for summary in project.classes():
            for name, judge in (("forward", module_confidence), ("__getitem__", dataset_confidence)):
                method = summary.outputs.get(name)
                if method is None or method.is_static or method.is_generator:
                    continue
                difference = _difference(method)
                if difference is None:
                    continue
                confidence = judge(project, summary)
                if confidence is not None:
                    yield _finding(summary, name, difference, confidence)


def _difference(method: MethodOutputs) -> _Difference | None:
    """The pair of results that differs most surely; of equal ones the first in the text."""
    outputs = legacy_free(method.outputs)
    found = [
        _difference_of(earlier, later)
        for earlier, later in itertools.combinations(outputs, 2)
        if _differ(method, earlier, later)
    ]
    somethings = [output for output in outputs if output.shape.kind != "none"]
    if method.end is not None and not method.is_optional and somethings:
        advice = _advice(somethings[0].shape, Shape("none"))
        switch = _switch_to_end(somethings)
        found.append(_Difference(method.end, "nothing when its end is reached", somethings[0], switch, advice))
    found = [difference for difference in found if difference.switch is not Switch.LEGACY]
    return min(found, key=lambda difference: difference.switch, default=None)


def _difference_of(earlier: Output, later: Output) -> _Difference:
    """Found at the later of the two, or at the one that gives nothing."""
    found, other = (earlier, later) if earlier.shape.kind == "none" else (later, earlier)
    assert found.place is not None
    switch = separating_switch(earlier.guards, later.guards)
    return _Difference(found.place, str(found.shape), other, switch, _advice(earlier.shape, later.shape))


def _switch_to_end(outputs: Sequence[Output]) -> Switch:
    """Who decides whether the end of a method is reached.

    A chain of `elif` over a setting is there to cover all its values, so its end is as far as it can be known.
    """
    guards = [output.guards for output in outputs]
    if any(not guard.is_met and guard.switch is Switch.ARGUMENT for each in guards for guard in each):
        return Switch.MODE
    return max((guard.switch for each in guards for guard in each), default=Switch.DATA)


def _differ(method: MethodOutputs, one: Output, other: Output) -> bool:
    """Whether a caller surely cannot treat the two results alike."""
    kinds = {one.shape.kind, other.shape.kind}
    if "none" in kinds:
        nothing = one if one.shape.kind == "none" else other
        return len(kinds) == 2 and not method.is_optional and not any(guard.is_absence for guard in nothing.guards)
    if kinds <= {"tuple", "list"}:
        return one.shape.is_exact and other.shape.is_exact and one.shape.num_values != other.shape.num_values
    if kinds == {"dict"}:
        keys, other_keys = one.shape.keys, other.shape.keys
        return keys is not None and other_keys is not None and keys != other_keys
    if "unknown" in kinds:
        return one.shape.name in other.codes or other.shape.name in one.codes
    return len(kinds) == 2 and not kinds <= {"tuple", "list", "sequence"}


def _finding(summary: ClassSummary, method: str, difference: _Difference, confidence: Confidence) -> Finding:
    other = difference.other
    assert other.place is not None
    message = (
        f"`{method}` of `{summary.name.rpartition('.')[2]}` returns {difference.found}, but {other.shape} in line "
        f"{other.place.location.row}, so what callers get {_REASONS[difference.switch]}; {difference.advice}"
    )
    return Finding(
        difference.place,
        message,
        confidence=min(confidence, _CONFIDENCES[difference.switch]),
        related=((other.place, f"{other.shape} here"),),
    )


def _advice(one: Shape, other: Shape) -> str:
    kinds = {one.kind, other.kind}
    if "none" in kinds:
        return "return a result on every path, or raise"
    return "give every path the same keys" if kinds == {"dict"} else "return a dict with the same keys on every path"
