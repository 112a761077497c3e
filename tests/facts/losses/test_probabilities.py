"""Values followed to the sigmoid that they end in, through functions, modules and files."""

from __future__ import annotations

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.losses.probabilities import Probabilities, sigmoids_of, summarize_probabilities
from pipeline_lint.facts.modules import summarize_classes
from pipeline_lint.facts.project import Project
from pipeline_lint.parsing import parse

HEAD = "import torch\nfrom torch import nn\n\n"
SUMMARIES = (summarize_classes, summarize_probabilities)


def rows(code: str, **others: str) -> list[int]:
    """The rows, after the head, of the sigmoids that the argument of `use(...)` in `main.py` comes from."""
    files = {"main.py": code, **{f"{name}.py": text for name, text in others.items()}}
    sources = {path: parse(open_document(path, (HEAD + text).encode())) for path, text in files.items()}
    summaries = {
        path: {f"{each.__module__}.{each.__qualname__}": each(source) for each in SUMMARIES}
        for path, source in sources.items()
    }
    main = sources["main.py"]
    (use,) = (call for call in main.nodes(cst.Call) if main.code(call.func) == "use")
    found = main.fact(Probabilities).sources(use.args[0].value)
    places = [sigmoids_of(Project(summaries), each, "main.py") for each in found]
    return [place.location.row - 3 for each in places for place in each] if all(places) else []


NET = "class Net(nn.Module):\n    def forward(self, x):\n        return torch.sigmoid(x)\n"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("use(torch.sigmoid(x).view(-1))\n", [1]),
        ("def p(x):\n    return torch.sigmoid(x)\n\n\nuse(p(x))\n", [2]),
        ("use(nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())(x))\n", [1]),
        (NET + "use(Net()(x))\n", [3]),
        (NET + "use(Net().forward(x))\n", [3]),
        (NET + "net = Net()\nfor x in y:\n    out = net(x)\n    use(out[0])\n", [3]),
        ("if a:\n    p = torch.sigmoid(x)\nelse:\n    p = torch.sigmoid(y)\nuse(p)\n", [2, 4]),
        ("use(torch.sigmoid(x) if a else torch.sigmoid(y))\n", [1, 1]),
        ("def f():\n    return x, torch.sigmoid(x)\n\n\na, b = f()\nuse(b)\n", [2]),
    ],
)
def test_a_value_is_followed_within_a_file(code: str, found: list[int]) -> None:
    assert rows(code) == found


@pytest.mark.parametrize(
    "code",
    [
        "use(x)\n",
        "use(1 - torch.sigmoid(x))\n",
        "use(torch.sigmoid(x) if a else x)\n",
        "if a:\n    p = torch.sigmoid(x)\nelse:\n    p = x\nuse(p)\n",
        "def p(x):\n    if a:\n        return torch.sigmoid(x)\n    return x\n\n\nuse(p(x))\n",
        "def p(x):\n    return p(x)\n\n\nuse(p(x))\n",
        "def f():\n    return x, torch.sigmoid(x)\n\n\na, b = f()\nuse(a)\n",
        "class Net(nn.Module):\n    def forward(self, x):\n        return self(x)\n\n\nuse(Net()(x))\n",
    ],
)
def test_a_value_that_may_come_from_elsewhere_is_not(code: str) -> None:
    assert rows(code) == []


def test_a_value_is_followed_to_other_files_and_base_classes() -> None:
    main = "from nets import Net\n\nuse(Net()(x))\n"
    nets = "from bases import Base\n\n\nclass Net(Base):\n    def logits(self, x):\n        return x\n"
    assert rows(main, nets=nets, bases=NET.replace("Net", "Base")) == [3]
