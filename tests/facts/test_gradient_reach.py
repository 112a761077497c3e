"""Whether a gradient flows through a piece of code, as far as the names and the expression around it tell."""

from __future__ import annotations

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.gradient_reach import is_given
from pipeline_lint.facts.gradient_uses import loses_gradient
from pipeline_lint.facts.trained_code import is_model_or_loss, is_optimizer_code, is_trained_code
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


def root_in(code: str, path: str = "example.py") -> tuple[Source, cst.Call]:
    """The call of `root` in the code."""
    source: Source = parse(open_document(path, code.encode()))
    (call,) = (node for node in source.nodes(cst.Call) if source.code(node.func) == "root")
    return source, call


@pytest.mark.parametrize(
    "expression",
    [
        "root(x).detach()",
        "torch.maximum(root(x), y).detach()",
        "(2 * root(x)).mean().item()",
        "float(root(x))",
        "round(root(x) / 2)",
        "root(x) < 3",
        "torch.where(root(x) > y, y, z)",
        "table[root(x)]",
        "root(x).data",
        "root(x).long()",
    ],
)
def test_an_expression_that_makes_no_differentiable_value_loses_the_gradient(expression: str) -> None:
    assert loses_gradient(*root_in(f"y = {expression}\n"))


@pytest.mark.parametrize(
    "expression", ["root(x)", "root(x).float()", "f(root(x), y.detach())", "root(x)[0].mean()", "[root(x), y]"]
)
def test_others_keep_it(expression: str) -> None:
    assert not loses_gradient(*root_in(f"y = {expression}\n"))


@pytest.mark.parametrize(
    "expression",
    [
        "target",
        "batch.labels",
        "gt_boxes[:, 2]",
        "1 - alpha_prod_t",
        "log_snr.sigmoid()",
        "self.log_snr(t)",
        "exp(-targets)",
    ],
)
def test_targets_and_schedules_are_given(expression: str) -> None:
    assert is_given(cst.parse_expression(expression))


@pytest.mark.parametrize(
    "expression",
    ["x", "x - target", "target_logit", "self.alpha", "f()", "x[labels]", "x.sum(-1)", "x.sum(labels)", "-1"],
)
def test_what_may_be_learned_is_not(expression: str) -> None:
    assert not is_given(cst.parse_expression(expression))


def test_modules_and_losses_are_trained() -> None:
    assert is_model_or_loss(*root_in("class A:\n    def forward(self, x):\n        return root(x)\n"))
    assert is_model_or_loss(*root_in("def dice_loss(x):\n    return root(x)\n"))
    assert not is_model_or_loss(*root_in("def f(x):\n    return root(x)\n"))


def test_optimizers_are_known_by_their_class_or_file() -> None:
    assert is_optimizer_code(*root_in("class A(Optimizer):\n    def step(self):\n        return root(self.x)\n"))
    assert is_optimizer_code(*root_in("def lamb(x):\n    return root(x)\n", "optim/lamb.py"))
    assert not is_optimizer_code(*root_in("def lamb(x):\n    return root(x)\n"))


def test_functions_of_tensors_alone_may_be_differentiated() -> None:
    code = "import torch\nfrom torch_scatter import scatter_add\n\ndef f(x):\n    return root(x)\n"
    assert is_trained_code(*root_in(code))
    assert not is_trained_code(*root_in(f"import numpy as np\n{code}"))
    assert not is_trained_code(*root_in(code.replace("torch", "tensorflow")))


@pytest.mark.parametrize(
    "path", ["metrics/functional/ndcg.py", "package/data/audio/files.py", "augmentation/generator/_2d/erase.py"]
)
def test_folders_say_what_their_code_is_for(path: str) -> None:
    code = "import torch\n\ndef f(x):\n    return root(x)\n"
    assert not is_trained_code(*root_in(code, path))
    assert is_trained_code(*root_in(code, f"models/{path.rpartition('/')[2]}"))
