"""TRN102: a dataset whose samples are told apart by position."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.membership import dataset_confidence
from pipeline_lint.facts.modules import ClassSummary, summarize_classes
from pipeline_lint.facts.outputs.naming import count, proposal, related_returns
from pipeline_lint.facts.outputs.returns import Output
from pipeline_lint.facts.project import Project
from pipeline_lint.refactor.keys import Style
from pipeline_lint.refactor.outputs import Target
from pipeline_lint.refactor.plan import Proposal, propose
from pipeline_lint.rule import Finding, ProjectRule

_METHODS = ("__getitem__", "__getitems__", "__iter__")


class TupleReturningGetitem(ProjectRule):
    """A dataset's samples are tuples whose values only their position tells apart.

    The order of `image, target, weight` is then agreed upon in the dataset, in every `collate_fn`, in every training
    and validation loop, and in each transform that wraps the dataset. One that gets it wrong fails late, or not at all
    if the values have the same shape. `DataLoader` collates dicts by itself: `batch["image"]` needs no agreement, and
    a sample can gain a value (an id, a path to look at later) without a change anywhere else.

    Base classes are followed through the files of the project; a base that is out of reach and calls itself a dataset
    is taken for one (likely), as is a class without a base that calls itself so and has a length. For `__iter__` each
    `yield` counts, for `__getitems__` each sample of the list.

    Bad:
        import torch
        from torch.utils.data import Dataset

        class Scans(Dataset):
            def __len__(self):
                return 4

            def __getitem__(self, index):
                image, mask = torch.rand(1, 8, 8), torch.zeros(8, 8)
                return image, mask, index

    Good:
        import torch
        from torch.utils.data import Dataset

        class Scans(Dataset):
            def __len__(self):
                return 4

            def __getitem__(self, index):
                image, mask = torch.rand(1, 8, 8), torch.zeros(8, 8)
                return {"image": image, "mask": mask, "index": index}

    Exempt:
        Named tuples, dataclasses and other classes of samples; sequences of any length; with `allow-pairs = true` in
        `[tool.pipeline-lint.tuple-returning-getitem]` the customary pairs of input and target.
    Fix:
        Safe: a dict in place of the tuple, and every loop over the dataset and its loaders rewritten with it, as one
        change over all files. The keys are named as the values are in the code. `output-style` says how they are
        written: as module-level constants, as literals, as the fields of a `TypedDict`, or of a dataclass where no
        loader collates the samples (`constants`, `literals`, `typed-dict`, `dataclass`).
        Unsafe: where the dataset is handed to code that the project does not show, or a use is not understood: the
        message lists the places to look at, and those are not rewritten.
        None: where a value has no honest name, paths differ in length or names, or users contradict each other.
    Source:
        Khvedchenya, "Efficient PyTorch: Supercharging the Training Pipeline" (2020), on dicts in place of tuples;
        https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.default_collate
    """

    code = "TRN102"
    triggers = _METHODS
    summaries = (summarize_classes,)
    options = {"allow-pairs": False, "output-style": "constants"}  # noqa: RUF012
    choices = {"output-style": tuple(style.value for style in Style)}  # noqa: RUF012

    def check_project(self, project: Project) -> Iterator[Finding]:
        """One finding for each method, at its first tuple."""
        found = list(self._find(project))
        proposals = propose(project, [target for target, _ in found], str(self.settings["output-style"]))
        for target, confidence in found:
            yield _finding(target, confidence, proposals[target.key])

    def _find(self, project: Project) -> Iterator[tuple[Target, Confidence]]:
        for summary in project.classes():
            for name in _METHODS:
                positional = self._positional(summary, name)
                if not positional:
                    continue
                confidence = dataset_confidence(project, summary)
                if confidence is None:
                    break
                yield Target(summary, name, tuple(positional)), confidence

    def _positional(self, summary: ClassSummary, name: str) -> list[Output]:
        """The samples that are tuples; of `__iter__` only those that it yields."""
        method = summary.outputs.get(name)
        if method is None or method.is_static or method.is_generator != (name == "__iter__"):
            return []
        return [output for output in method.outputs if output.is_positional and not self._is_allowed(output)]

    def _is_allowed(self, output: Output) -> bool:
        return bool(self.settings["allow-pairs"]) and output.shape.num_values == 2 and output.shape.is_exact


def _finding(target: Target, confidence: Confidence, proposal: Proposal) -> Finding:
    first, *others = target.outputs
    if proposal.names:
        first = dataclasses.replace(first, names=proposal.names)
    assert first.place is not None
    return Finding(
        first.place,
        _message(target.summary, target.method, first) + proposal.remark,
        confidence=confidence,
        fix=proposal.fix,
        related=(*related_returns(others), *proposal.doubts),
    )


def _message(summary: ClassSummary, method: str, output: Output) -> str:
    simple = summary.name.rpartition(".")[2]
    return (
        f"`{method}` of `{simple}` gives {count(output)} told apart by position alone, so whoever reads a batch must "
        f"know their order; {proposal(output)}"
    )
