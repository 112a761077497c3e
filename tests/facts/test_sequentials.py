"""The last layer of an `nn.Sequential`."""

from __future__ import annotations

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.sequentials import last_layer
from pipeline_lint.parsing import parse


def last(code: str) -> str | None:
    source = parse(open_document("example.py", code.encode()))
    (sequential,) = (call for call in source.nodes(cst.Call) if source.code(call.func) == "Sequential")
    layer = last_layer(source, sequential)
    return source.code(layer) if layer is not None else None


@pytest.mark.parametrize(
    "code",
    [
        "Sequential(a, Act())\n",
        "Sequential(a, Act(), nn.Flatten(), Identity())\n",
        "Sequential(OrderedDict([('a', a), ('act', Act())]))\n",
        "Sequential(OrderedDict({'a': a, 'act': Act()}))\n",
        "Sequential(*[a, Act()])\n",
        "layers = [a, Act()]\nSequential(*layers)\n",
        "layers = []\nfor i in r:\n    layers.append(b)\nlayers.append(Act())\nSequential(*layers)\n",
        "layers = [a]\nlayers += [b, Act()]\nSequential(*layers)\n",
        "layers = [a]\nlayers.extend([b, Act()])\nif c:\n    Sequential(*layers)\n",
    ],
)
def test_the_last_layer_is_found(code: str) -> None:
    assert last(code) == "Act()"


@pytest.mark.parametrize(
    "code",
    [
        "Sequential()\n",
        "Sequential(*layers)\n",
        "layers = [a]\nif c:\n    layers.append(Act())\nSequential(*layers)\n",
        "layers = [Act()]\nlayers.insert(0, a)\nSequential(*layers)\n",
        "layers = make()\nSequential(*layers)\n",
        "def f():\n    layers = [Act()]\nSequential(*layers)\n",
    ],
)
def test_a_last_layer_that_is_not_certain_is_none(code: str) -> None:
    assert last(code) is None
