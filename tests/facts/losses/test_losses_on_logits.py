"""A loss of probabilities rewritten for logits; most of it is shown by the cases of bce-on-probabilities."""

from __future__ import annotations

from pipeline_lint.documents import open_document
from pipeline_lint.facts.code.origins import Origins
from pipeline_lint.facts.losses.loss_calls import loss_calls
from pipeline_lint.facts.losses.losses_on_logits import TracedLoss, has_other_use, on_logits
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source

HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\n"


def losses(code: str) -> tuple[Source, list[TracedLoss]]:
    source = parse(open_document("example.py", (HEAD + code).encode()))
    found = loss_calls(source, function="torch.nn.functional.binary_cross_entropy", module="torch.nn.BCELoss")
    origins = source.fact(Origins)
    return source, [
        TracedLoss(loss, origin) for loss in found if (origin := origins.origin(loss.prediction)) is not None
    ]


def texts(source: Source, traced: TracedLoss, others: list[TracedLoss]) -> list[str] | None:
    edits = on_logits(source, traced, others, function="torch.nn.functional.other", module="torch.nn.Other")
    return None if edits is None else [edit.text for edit in edits]


def test_calls_of_one_module_change_together() -> None:
    source, found = losses(
        "def f(x, y):\n    bce = nn.BCELoss()\n    return bce(torch.sigmoid(x), y), bce(torch.sigmoid(y), x)\n"
    )
    assert texts(source, found[0], found) == ["nn.Other", "x", "y"]
    assert texts(source, found[1], found) == ["nn.Other", "x", "y"]


def test_a_module_with_settings_that_are_computed_stays_where_it_serves_others() -> None:
    code = "def f(x, y, w):\n    bce = nn.BCELoss({})\n    return bce(torch.sigmoid(x), y), bce(y, y)\n"
    source, found = losses(code.format("reduction='sum'"))
    assert texts(source, found[0], found) == ["F.other", "x", ", reduction='sum'"]
    source, found = losses(code.format("w"))
    assert texts(source, found[0], found) is None


def test_other_losses_are_no_other_use_of_a_probability() -> None:
    code = "def f(x, y):\n    p = torch.sigmoid(x)\n    return F.binary_cross_entropy(p, y) + nn.BCELoss()(p, y){}\n"
    source, found = losses(code.format(""))
    assert not has_other_use(source, found[0], found)
    source, found = losses(code.format(" + p"))
    assert has_other_use(source, found[0], found)
