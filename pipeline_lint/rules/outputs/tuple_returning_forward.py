"""TRN101: a model whose results are told apart by position."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts import torch_api
from pipeline_lint.facts.membership import module_confidence
from pipeline_lint.facts.modules import summarize_classes
from pipeline_lint.facts.outputs.naming import count, legacy_free, proposal, related_returns
from pipeline_lint.facts.outputs.returns import Output
from pipeline_lint.facts.project import Project
from pipeline_lint.refactor.keys import Style
from pipeline_lint.refactor.outputs import Target
from pipeline_lint.refactor.plan import Proposal, propose
from pipeline_lint.rule import Finding, ProjectRule

_CONTRACT_NAMES = ("Cell", "GRU", "LSTM", "MultiheadAttention", "RNN")
"""How classes end that stand in for torch's modules of that name, whose results are tuples."""


class TupleReturningForward(ProjectRule):
    """A model's `forward` returns several values that only their position tells apart.

    Whoever calls `logits, features = model(x)` depends on the order and the number of the values. Add a third, and
    every caller breaks; swap two of the same shape, and none does: training goes on with the wrong tensor in the loss.
    A dict with named keys says at both ends what is meant, and a new value disturbs nobody.

    The class need not inherit `nn.Module` directly: base classes are followed through the files of the project, and
    a base that is out of reach is taken for a module (likely) where the class keeps layers of `torch.nn`. The message
    proposes the names that the values already have in the code.

    Bad:
        import torch
        from torch import nn

        class Detector(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.cls_head = nn.Linear(8, 3)
                self.box_head = nn.Linear(8, 4)

            def forward(self, x):
                return self.cls_head(x), self.box_head(x)

    Good:
        import torch
        from torch import nn

        class Detector(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.cls_head = nn.Linear(8, 3)
                self.box_head = nn.Linear(8, 4)

            def forward(self, x):
                return {"cls_head": self.cls_head(x), "box_head": self.box_head(x)}

    Exempt:
        Named tuples, dataclasses and other classes of results; sequences of any length, such as a list of feature
        maps built in a loop or a comprehension; the tuple that a caller asks for by `return_dict=False`;
        subclasses of torch's modules whose results are tuples (`nn.LSTM`, `nn.MultiheadAttention`, ...) and classes
        named after them (`ConvLSTM`, `PeepholeCell`), which keep torch's own contract; `forward` of
        `torch.autograd.Function`, whose tuples autograd demands.
    Fix:
        Safe: a dict in place of the tuple, and every use of the result in the whole project rewritten with it, as one
        change over all its files. The keys are named as the values are in the code. `output-style` says how
        they are written: as module-level constants, as literals, or as the fields of a `TypedDict` or a dataclass
        (`constants`, `literals`, `typed-dict`, `dataclass`).
        Unsafe: where the model is handed to code that the project does not show, can be imported from an installed
        package, or is used nowhere, and where a use is not understood: the message lists the places to look at, and
        those are not rewritten.
        None: where a value has no honest name, paths differ in length or names, or users contradict each other.
    Source:
        Khvedchenya, "Efficient PyTorch: Supercharging the Training Pipeline" (2020), on dicts in place of tuples;
        https://github.com/huggingface/transformers/issues/5438
    """

    code = "TRN101"
    triggers = ("forward",)
    summaries = (summarize_classes,)
    options = {"output-style": "constants"}  # noqa: RUF012
    choices = {"output-style": tuple(style.value for style in Style)}  # noqa: RUF012

    def check_project(self, project: Project) -> Iterator[Finding]:
        """One finding for each `forward`, at the first tuple."""
        found = list(self._find(project))
        proposals = propose(project, [target for target, _ in found], str(self.settings["output-style"]))
        for target, confidence in found:
            yield _finding(target, confidence, proposals[target.key])

    def _find(self, project: Project) -> Iterator[tuple[Target, Confidence]]:
        for summary in project.classes():
            method = summary.outputs.get("forward")
            if method is None or method.is_static or method.is_generator:
                continue
            positional = [output for output in legacy_free(method.outputs) if output.is_positional]
            if not positional or summary.name.endswith(_CONTRACT_NAMES):
                continue
            confidence = module_confidence(project, summary)
            if confidence is None or project.is_subclass(summary, torch_api.TUPLE_MODULES):
                continue
            yield Target(summary, "forward", tuple(positional)), confidence


def _finding(target: Target, confidence: Confidence, proposal: Proposal) -> Finding:
    first, *others = target.outputs
    if proposal.names:
        first = dataclasses.replace(first, names=proposal.names)
    assert first.place is not None
    return Finding(
        first.place,
        _message(target.summary.name, first) + proposal.remark,
        confidence=confidence,
        fix=proposal.fix,
        related=(*related_returns(others), *proposal.doubts),
    )


def _message(name: str, output: Output) -> str:
    simple = name.rpartition(".")[2]
    return (
        f"`forward` of `{simple}` returns {count(output)} told apart by position alone, so a caller that mixes them up "
        f"goes unnoticed; {proposal(output)}"
    )
