"""A name that says something of a value's size leaves its dtype alone."""

from __future__ import annotations

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.parsing import parse


@pytest.mark.parametrize("name", ["h", "p", "logits", "log_var", "mask", "area"])
def test_a_named_value_has_the_dtype_that_it_was_given(name: str) -> None:
    code = f"import torch\n\n\ndef f(x):\n    {name} = x.half()\n    return {name}.sum()\n"
    source = parse(open_document("example.py", code.encode()))
    (site,) = source.fact(Ranges).sites("sum")
    assert site.input.dtype == "float16"
