"""TRN105: keys of outputs that are written out in several places."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.modules import summarize_classes
from pipeline_lint.facts.outputs.naming import enumeration
from pipeline_lint.facts.project import Project
from pipeline_lint.refactor.named import named_results, named_uses
from pipeline_lint.refactor.reading import Reading, named_targets
from pipeline_lint.refactor.repeated_keys import RepeatedKeys, repeated_keys
from pipeline_lint.rule import Finding, ProjectRule


class LiteralOutputKey(ProjectRule):
    """The keys of a model's output are written out where it is made and again where it is read.

    A key that is misspelt in one of the places is a KeyError when that line runs, perhaps at the end of the first
    epoch; a key that is renamed has to be found everywhere by its text. A constant is checked by every editor, found
    by its references, and renamed in one step. Whether that is worth an import is a matter of taste, so the rule is off
    by default.

    Bad:
        from torch import nn

        class Detector(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.boxes = nn.Linear(8, 4)
                self.labels = nn.Linear(8, 3)

            def forward(self, x):
                return {"boxes": self.boxes(x), "labels": self.labels(x)}

        def predict(x):
            outputs = Detector()(x)
            return outputs["boxes"], outputs["labels"].argmax(dim=-1)

    Good:
        from torch import nn

        OUTPUT_BOXES = "boxes"
        OUTPUT_LABELS = "labels"

        class Detector(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.boxes = nn.Linear(8, 4)
                self.labels = nn.Linear(8, 3)

            def forward(self, x):
                return {OUTPUT_BOXES: self.boxes(x), OUTPUT_LABELS: self.labels(x)}

        def predict(x):
            outputs = Detector()(x)
            return outputs[OUTPUT_BOXES], outputs[OUTPUT_LABELS].argmax(dim=-1)

    Exempt:
        Keys that nothing in the project reads, and dicts of which it is not certain that the model made them.
    Fix:
        Safe: one constant for each key, `OUTPUT_BOXES = "boxes"`, at the top of the model's file and imported where it
        is read; a constant of that value that is there already is used. A place that is not found keeps its text, which
        means the same.
        None: where the files cannot import one another, or the name is taken.
    Source:
        Khvedchenya, "Efficient PyTorch: Supercharging the Training Pipeline" (2020), on constants as keys.
    """

    code = "TRN105"
    is_default = False
    triggers = ("forward",)
    summaries = (summarize_classes,)

    def check_project(self, project: Project) -> Iterator[Finding]:
        """One finding for each dict, at the first of its keys."""
        targets = named_targets(project)
        if not targets:
            return
        machine = project.fact(Reading).machine
        results = named_results(machine, targets)
        uses = list(named_uses(machine, results))
        found = [result for same in results.values() for result in same]
        for keys in repeated_keys(machine, found, uses, project.given):
            yield _finding(keys)


def _finding(keys: RepeatedKeys) -> Finding:
    listed = enumeration(f"`{name}`" for name in keys.names)
    first, *others = keys.places
    plural = "s" if keys.num_readings > 1 else ""
    message = (
        f"{listed} {'are' if len(keys.names) > 1 else 'is'} written out in `forward` of "
        f"`{keys.model.rpartition('.')[2]}` and in {keys.num_readings} place{plural} that read{'' if plural else 's'} "
        "it, so a misspelt key fails only when its line runs; name each key once, by a constant"
    )
    refusal = f"; no fix, because {keys.refusal}" if keys.refusal is not None else ""
    related = tuple((place, "written again here") for place in others)
    return Finding(first, message + refusal, confidence=Confidence.CERTAIN, fix=keys.fix, related=related)
