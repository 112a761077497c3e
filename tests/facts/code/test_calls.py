"""Calls as operations: every spelling, certain arguments only, and what is no tensor's."""

from __future__ import annotations

import importlib
import inspect
import re
from textwrap import dedent

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts import torch_api
from pipeline_lint.facts.code.calls import Calls, Operation
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source

HEADER = "import torch\nimport torch.nn.functional as F\nimport math, numpy as np, logging\n"


def operations_of(code: str) -> tuple[Source, list[Operation]]:
    source = parse(open_document("example.py", (HEADER + dedent(code)).encode()))
    return source, source.fact(Calls).operations()


def described(code: str) -> str:
    """The operation of a line as `name(parameter=code, ...)`, with marks for methods and in-place ones."""
    source, found = operations_of(code)
    if not found:
        return "none"
    (operation,) = found
    operands = ", ".join(f"{name}={source.code(value)}" for name, value in operation.operands.items())
    marks = " method" * operation.is_method + " inplace" * operation.is_inplace
    return f"{operation.name}({operands}){marks}"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("torch.log(x)", "log(input=x)"),
        ("torch.log(input=x)", "log(input=x)"),
        ("torch.log(x, out=y)", "log(out=y, input=x)"),
        ("y = x.log()", "log(input=x) method"),
        ("x.log_()", "log(input=x) method inplace"),
        ("torch.Tensor.log(x)", "log(input=x)"),
        ("torch.Tensor.log_(x)", "log(input=x) inplace"),
        ("torch.log_(x)", "log(input=x) inplace"),
        ("torch.special.expit(x)", "sigmoid(input=x)"),
        ("torch.special.log_softmax(x, 1)", "log_softmax(input=x, dim=1)"),
        ("F.softmax(x, dim=1)", "softmax(dim=1, input=x)"),
        ("F.softmax(x, 1, 3, torch.half)", "softmax(input=x, dim=1, _stacklevel=3, dtype=torch.half)"),
        ("y = x.softmax(-1)", "softmax(input=x, dim=-1) method"),
        ("y = x.sum(axis=1, keepdims=True)", "sum(dim=1, keepdim=True, input=x) method"),
        ("F.relu(x, inplace=True)", "relu(inplace=True, input=x) inplace"),
        ("F.relu_(x)", "relu(input=x) inplace"),
        ("torch.clip(x, 0)", "clamp(input=x, min=0)"),
        ("y = x.clamp(max=1)", "clamp(max=1, input=x) method"),
        ("torch.where(c, a, b)", "where(condition=c, input=a, other=b)"),
        ("torch.linalg.norm(x)", "linalg_norm(input=x)"),
        ("y = x.permute(0, 2, 1)", "permute(input=x, dims=0) method"),
        ("torch.max(x, 1)", "max(input=x, dim_or_other=1)"),
        ("torch.true_divide(a, b)", "div(input=a, other=b)"),
        ("y = self.net(x)[0].exp()", "exp(input=self.net(x)[0]) method"),
        ("y = (a - b).sqrt()", "sqrt(input=(a - b)) method"),
        ("y = (await f(x)).log()", "log(input=(await f(x))) method"),
        ("y = torch.finfo(d).eps.log()", "log(input=torch.finfo(d).eps) method"),
        ("y = x.norm(p='fro')", "norm(p='fro', input=x) method"),
        ("y = x.transpose(0, 1)", "transpose(input=x, dim0=0, dim1=1) method"),
        ("y = torch.swapaxes(x, axis0=0, axis1=1)", "transpose(dim0=0, dim1=1, input=x)"),
    ],
)
def test_an_operation_is_recognized_however_it_is_spelled(code: str, expected: str) -> None:
    assert described(code) == expected


@pytest.mark.parametrize(
    "code",
    [
        "torch.log(*args)",
        "torch.log(x, **kwargs)",
        "torch.log(x, base=2)",
        "torch.log(x, y)",
        "torch.softmax(x, 1, dim=1)",
        "y = x.log(2)",
        "F.softmax(x, dimension=1)",
    ],
)
def test_arguments_that_are_not_certain_make_no_operation(code: str) -> None:
    assert described(code) == "none"


@pytest.mark.parametrize(
    "code",
    [
        "math.log(x)",
        "np.exp(x)",
        "y = np.array(x).mean()",
        "y = x.cpu().numpy().mean()",
        "y = x.numpy().sum()",
        "y = x.tolist().sum()",
        "self.log('loss', x)",
        "y = self.log()",
        "y = self.logger.log()",
        "logger.log(x)",
        "logging.log()",
        "wandb.log({'a': 1}, step=2)",
        "y = 'a b'.split()",
        "y = f'{x}'.split()",
        "y = name.split('.')",
        "y = 3.0.exp()",
        "y = [1, 2].sum()",
        "y = {}.sum()",
        "y = super().exp()",
        "y = str(x).split()",
        "seen.add(x)",
        "values.sort()",
        "def log(x): ...\nlog(x)",
        "def f(torch):\n    return torch.log(x)",
        "y = (lambda: 1).log()",
    ],
)
def test_what_is_clearly_no_tensor_makes_no_operation(code: str) -> None:
    source, _ = operations_of(code)
    outermost = next(call for call in source.nodes(cst.Call) if not isinstance(source.parent(call), cst.Attribute))
    assert source.fact(Calls).operation(outermost) is None


def test_operations_are_found_by_name_in_the_order_of_the_text() -> None:
    source, _ = operations_of("a = torch.log(x)\nb = torch.exp(x)\nc = y.log()\n")
    found = source.fact(Calls).operations("log")
    assert [source.code(operation.call) for operation in found] == ["torch.log(x)", "y.log()"]


def test_all_arguments_of_a_rest_are_told() -> None:
    source, (operation,) = operations_of("y = x.view(2, -1)")
    assert [source.code(value) for value in operation.rest] == ["2", "-1"]


MODULES = tuple(torch_api.NAMESPACES)


@pytest.mark.parametrize("module", MODULES)
def test_the_table_of_signatures_agrees_with_torch(module: str) -> None:
    torch = pytest.importorskip("torch")
    namespace = torch
    for part in module.split(".")[1:]:
        namespace = getattr(namespace, part)
    for name, signature in torch_api.signatures(module).items():
        function = getattr(namespace, name, None)
        assert callable(function), f"{module}.{name}"
        parameters = real_parameters(function)
        if parameters is None or name in OVERLOADED:
            continue
        is_method = module == "torch.Tensor"
        ours = signature.positional[is_method:]
        parameters = [parameter for parameter in parameters if parameter not in signature.keyword_only]
        assert len(ours) >= len(parameters) or signature.rest, f"{module}.{name}{parameters}"
        for our, real in zip(ours, parameters, strict=False):
            assert our == real or (our, real) in RENAMED, f"{module}.{name}: {our} for {real}"


OVERLOADED = {"arange", "max", "min", "randint", "randint_like"}
"""Of which torch's docstring shows another form first."""

RENAMED = {
    ("dim", "axis"),
    ("dim", "dimension"),
    ("dim0", "axis0"),
    ("dim1", "axis1"),
    ("input", "A"),
    ("input", "a"),
    ("input", "dividend"),
    ("input", "tensor"),
    ("input", "x"),
    ("other", "b"),
    ("other", "batch2"),
    ("other", "divisor"),
    ("other", "mat2"),
    ("other", "tensor"),
    ("other", "tensor2"),
    ("other", "value"),
    ("other", "vec"),
    ("other", "vec2"),
    ("other", "y"),
    ("source", "tensor"),
    ("source", "tensor2"),
    ("split_size_or_sections", "split_size"),
    ("unbiased", "correction"),
}
"""Names of ours that stand for one of torch's, so that functions and methods have the same."""


def real_parameters(function: object) -> list[str] | None:
    """Positional parameters as torch tells them: by a signature in Python, or on the first line of the docstring."""
    try:
        found = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
        names = [each.name for each in found if each.kind is each.POSITIONAL_OR_KEYWORD]
        if any(each.kind is each.VAR_POSITIONAL for each in found):
            return None
    except (TypeError, ValueError):
        match = re.match(r"\s*[\w.]+\((.*?)\) ?->", getattr(function, "__doc__", "") or "")
        if match is None:
            return None
        listed = re.sub(r"=\([^)]*\)|: [^,=]*\[.*\]+|: \w+", "", match[1]).partition("*")[0]
        names = [part.split("=")[0].strip(" \\") for part in listed.split(",") if part.strip(" \\")]
    return [name for name in names if name != "self"]


@pytest.mark.parametrize("path", sorted(torch_api.SUBMODULES))
def test_import_torch_alone_reaches_the_submodules_of_the_table(path: str) -> None:
    torch = pytest.importorskip("torch")
    found = torch
    for part in path.split(".")[1:]:
        found = getattr(found, part)
    assert inspect.ismodule(found)


@pytest.mark.parametrize(
    "path",
    [
        "torch.nn.modules.activation.Sigmoid",
        "torch.nn.modules.Sigmoid",
        "torch.nn.parallel.distributed.DistributedDataParallel",
        "torch.nn.parameter.Parameter",
        "torch.utils.data.dataset.Dataset",
        "torch.utils.data.dataloader.DataLoader",
        "torch.utils.data.datapipes.datapipe.IterDataPipe",
        "torch.optim.adam.Adam",
        "torch.optim.lr_scheduler.StepLR",
        "torch.autograd.function.Function",
        "torch.autograd.anomaly_mode.set_detect_anomaly",
        "torch.amp.autocast_mode.autocast",
        "torch.amp.grad_scaler.GradScaler",
        "torch.cuda.amp.autocast_mode.autocast",
        "torch._tensor.Tensor",
        "torch.functional.norm",
        "torch.nn.Linear",
        "torch.nn.functional.elu",
    ],
)
def test_a_canonical_path_leads_to_the_same_object(path: str) -> None:
    pytest.importorskip("torch")
    canonical = torch_api.canonical(path)
    assert follow(canonical) is follow(path)
    assert torch_api.canonical(canonical) == canonical


def follow(dotted: str) -> object:
    """What the path leads to, importing modules that their package does not show."""
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("path", sorted(root for root in torch_api.MODULE_ROOTS if root.startswith("torch.")))
def test_the_roots_of_modules_are_modules_in_torch(path: str) -> None:
    torch = pytest.importorskip("torch")
    found = torch
    for part in path.split(".")[1:]:
        found = getattr(found, part)
    assert issubclass(found, torch.nn.Module)
