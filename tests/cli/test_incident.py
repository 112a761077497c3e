"""`pipeline-lint fix --incident`, where there is nothing to fix. tests/runtime_guard has a real incident."""

from __future__ import annotations

import json
from typing import Any

import pytest

MODEL = "import torch\n\n\ndef score(x):\n    return torch.log(x.abs())\n"
PLACE = {"path": "model.py", "line": 5, "function": "score", "text": "return torch.log(x.abs())"}
BIRTH: dict[str, Any] = {"kind": "operation", "operation": "log", "value": "inf", "place": PLACE}


def record(birth: Any = BIRTH, **incident: Any) -> str:
    return json.dumps({"format": 1, "incident": {"birth": birth, "rule": "TRN204", "advice": "mind it", **incident}})


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "holds no incident.json; expected the folder of an incident"),
     ("{", "cannot be read"),
     ("[]", "is not an incident of runtime_guard"),
     ('{"incident": {}, "format": 99}', "has format 99, this version reads 1"),
     (record(birth={"kind": "operation"}), "is damaged: it does not say what made the first bad number"),
     (record(birth=None), "names no cause, so there is no line to fix"),
     (record(birth={**BIRTH, "kind": "input", "operation": "batch[0]", "place": None}),
      "comes from the input batch[0], not from a line of code: mind it"),
     (record(birth={**BIRTH, "place": {**PLACE, "path": "gone.py"}}), "no such file here; run this where the training"),
     (record(birth={**BIRTH, "place": {**PLACE, "line": 99}}), "the file is shorter now"),
     (record(birth={**BIRTH, "place": {**PLACE, "line": 4}}), "the line is `def score(x):` now"),
     (record(birth={**BIRTH, "place": {**PLACE, "path": "/venv/site-packages/net.py"}}), "not code of yours to fix")],
)  # fmt: skip
def test_what_cannot_be_fixed_is_told(project, lint, content: str | None, message: str) -> None:
    files = {"model.py": MODEL, "incident/verdict.txt": ""}
    folder = project(files | ({} if content is None else {"incident/incident.json": content}))
    result = lint("fix", "--incident", "incident")
    assert result.exit_code == 2
    assert message in result.stderr
    assert (folder / "model.py").read_text() == MODEL


def test_only_the_blamed_line_is_fixed(project, lint) -> None:
    code = f"{MODEL}\n\ndef other(x):\n    return torch.log(torch.sigmoid(x))\n"
    folder = project({"model.py": code, "incident/incident.json": record()})
    result = lint("fix", "--incident", "incident", "--unsafe-fixes")
    assert result.exit_code == 0, result.stderr
    text = (folder / "model.py").read_text()
    assert "torch.log(torch.sigmoid(x))" in text
    assert PLACE["text"] not in text


def test_a_line_that_no_rule_knows_gets_the_advice(project, lint) -> None:
    place = {**PLACE, "line": 4, "text": "def score(x):"}
    project({"model.py": MODEL, "incident/incident.json": record(birth={**BIRTH, "place": place})})
    result = lint("fix", "--incident", "incident")
    assert result.exit_code == 1
    assert "no rule finds anything there. Advice: mind it." in result.stderr


def test_paths_beside_an_incident_are_refused(project, lint) -> None:
    project({"model.py": MODEL, "incident/incident.json": record()})
    result = lint("fix", "--incident", "incident", "model.py")
    assert result.exit_code == 2
    assert "--incident names the file itself" in result.stderr
