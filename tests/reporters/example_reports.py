"""Reports for the tests of all reporters: every part that a finding can have, made from real source text."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from pipeline_lint.diagnostic import Applicability, Confidence, Diagnostic, Edit, Failure, Fix, Place, Report
from pipeline_lint.document import Document
from pipeline_lint.documents.script import Script
from pipeline_lint.reporter import ReportOptions, RulePage

LOSS = """\
import torch


def kl(p, q):
\tratio = p / q; 損失 = torch.log(torch.sigmoid(ratio)); e\u0301 = torch.log(q)
\treturn 損失

class Net(torch.nn.Module):
    def forward(self, images):
        features = self.backbone(images)
        return (
            self.boxes(features),
            self.scores(features),
        )
"""
TRAIN = "for images, target in loader:\n    boxes, scores = model(images)\n    loss = criterion(scores, target)\n"
CELL = """\
scaler = torch.cuda.amp.GradScaler()
for batch in loader:
    with torch.cuda.amp.autocast():
        step(batch)
"""
MINIFIED = "a = " + " + ".join(f"w{number} * x{number}" for number in range(60)) + " + torch.log(é) + b\n"

PAGES = {
    "TRN101": RulePage(
        "TRN101",
        "tuple-returning-forward",
        "A forward that returns a tuple.",
        "https://example.org/rules/tuple-returning-forward",
        "The order of a tuple's values is known to nobody but its author.",
    ),
    "TRN201": RulePage("TRN201", "log-of-sigmoid", "The log of a sigmoid.", "docs/rules/log-of-sigmoid.md"),
}


def place(document: Document, text: str, *, nth: int = 0) -> Place:
    """The nth place where `text` stands in a document."""
    start = _offset(document, text, nth)
    return document.place(start, start + len(text))


def edit(document: Document, text: str, new: str, *, nth: int = 0) -> Edit:
    start = _offset(document, text, nth)
    return document.edit(start, start + len(text), new)


def in_cell(found: Place, cell: int) -> Place:
    return dataclasses.replace(found, cell=cell)


def finding(found: Place, message: str = "`log` of zero is -inf", *, fix: Fix | None = None) -> Diagnostic:
    return Diagnostic("TRN204", "log-near-zero", message, found, fix=fix)


def report_of(*diagnostics: Diagnostic, failures: Sequence[Failure] = ()) -> Report:
    return Report(diagnostics=list(diagnostics), failures=list(failures), num_files=max(1, len(diagnostics)))


def full_report() -> Report:
    """A finding for each optional part, and failures."""
    findings = [_log_of_sigmoid(), _log_near_zero(), _tuple_return(), _far_to_the_right(), *_deprecated_in_notebook()]
    failures = [
        Failure(
            "models/broken.py", "rule `log-near-zero` raised ZeroDivisionError: division by zero\n  in check, row 12"
        ),
        Failure("models/locked.py", "cannot be read: Permission denied"),
    ]
    return Report(diagnostics=findings, failures=failures, num_files=7, num_suppressed=2)


def empty_report() -> Report:
    return Report(num_files=3)


def fixed_report() -> Report:
    """What is left after fixes were applied."""
    left = _log_near_zero()
    return Report(
        diagnostics=[left], num_files=3, num_fixed=Counter({"TRN201": 2, "TRN307": 1}), changed_paths=["a.py"]
    )


def options(**changes: object) -> ReportOptions:
    return dataclasses.replace(ReportOptions(version="1.2.3", pages=PAGES), **changes)  # type: ignore[arg-type]


def _offset(document: Document, text: str, nth: int) -> int:
    offset = -1
    for _ in range(nth + 1):
        offset = document.text.index(text, offset + 1)
    return offset


def _log_of_sigmoid() -> Diagnostic:
    """A tab before the span, wide characters in it, a fix near and one far from it."""
    loss = script("models/verlust/größe 1.py", LOSS)
    imported = loss.edit(0, 0, "import torch.nn.functional as F\n")
    replaced = edit(loss, "torch.log(torch.sigmoid(ratio))", "F.logsigmoid(ratio)")
    return Diagnostic(
        "TRN201",
        "log-of-sigmoid",
        "`torch.log(torch.sigmoid(ratio))` is -inf where the sigmoid rounds to 0; write `F.logsigmoid(ratio)`",
        place(loss, "torch.log(torch.sigmoid(ratio))"),
        witness="ratio = -104.0 gives sigmoid 0 in float32, so the log is -inf",
        fix=Fix(Applicability.SAFE, "replace by `F.logsigmoid(ratio)`", (imported, replaced)),
    )


def _log_near_zero() -> Diagnostic:
    """Behind tabs, wide and combining characters; likely; no fix."""
    loss = script("models/verlust/größe 1.py", LOSS)
    return dataclasses.replace(
        finding(place(loss, "torch.log(q)"), "`torch.log(q)` is -inf at 0; clamp `q`, 100% of it: a, b"),
        confidence=Confidence.LIKELY,
        witness="q = 0.0",
    )


def _tuple_return() -> Diagnostic:
    """Several rows, related places, an unsafe fix in two files."""
    loss, train = script("models/verlust/größe 1.py", LOSS), script("train.py", TRAIN)
    edits = (
        edit(loss, "return (\n", "return {\n"),
        edit(loss, "self.boxes(features)", '"boxes": self.boxes(features)'),
        edit(loss, "self.scores(features)", '"scores": self.scores(features)'),
        edit(loss, "        )\n", "        }\n"),
        edit(train, "boxes, scores = model(images)", "output = model(images)"),
        edit(train, "scores, target)", 'output["scores"], target)'),
    )
    value = "(\n            self.boxes(features),\n            self.scores(features),\n        )"
    return Diagnostic(
        "TRN101",
        "tuple-returning-forward",
        "`Net.forward` returns a tuple; return a dict with the keys `boxes` and `scores`",
        place(loss, value),
        fix=Fix(Applicability.UNSAFE, "return a dict and read it by name", edits),
        related=(
            (place(train, "boxes, scores"), "unpacks it"),
            (place(train, "scores", nth=1), "reads the second value"),
        ),
    )


def _far_to_the_right() -> Diagnostic:
    return dataclasses.replace(
        finding(place(script("minified.py", MINIFIED), "torch.log(é)")), confidence=Confidence.POSSIBLE
    )


def _deprecated_in_notebook() -> list[Diagnostic]:
    """Two alike findings in one cell, one with a fix and one without."""
    cell = script("notebooks/train.ipynb", CELL)
    changed = dataclasses.replace(edit(cell, "torch.cuda.amp.GradScaler()", 'torch.amp.GradScaler("cuda")'), cell=2)
    message = "`torch.cuda.amp.GradScaler` is deprecated"
    return [
        Diagnostic(
            "TRN307",
            "deprecated-amp",
            message,
            in_cell(place(cell, "torch.cuda.amp.GradScaler()"), 2),
            fix=Fix(Applicability.SAFE, 'write `torch.amp.GradScaler("cuda")`', (changed,)),
        ),
        Diagnostic(
            "TRN307",
            "deprecated-amp",
            "`torch.cuda.amp.autocast` is deprecated",
            in_cell(place(cell, "torch.cuda.amp.autocast()"), 2),
        ),
    ]


def script(path: str, text: str) -> Script:
    return Script(path, text.encode())
