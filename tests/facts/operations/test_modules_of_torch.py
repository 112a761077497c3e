"""Modules of torch, made and called: the operation, the settings and the arguments that the table says."""

from __future__ import annotations

import inspect
from typing import Any

import libcst as cst
import pytest

pytest.importorskip("torch")

import torch

from pipeline_lint.facts.operations import OPERATIONS
from pipeline_lint.facts.operations.modules import MODULES
from pipeline_lint.facts.ranges.value import SEQUENCE, TENSOR, Operands, Value, constant

CONSTRUCTED: dict[str, tuple[Any, ...]] = {
    "Unflatten": (1, (2, 2)),
    "PixelShuffle": (2,),
    "PixelUnshuffle": (2,),
    "ChannelShuffle": (2,),
    "Unfold": ((2, 2),),
    "Fold": ((2, 3), (2, 2)),
    "LayerNorm": (4,),
    "RMSNorm": (4,),
    "GroupNorm": (2, 4),
    "SyncBatchNorm": (4,),
    "LocalResponseNorm": (2,),
    "Linear": (4, 3),
    "LazyLinear": (3,),
    "Bilinear": (4, 4, 3),
    "Embedding": (5, 3),
    "EmbeddingBag": (5, 3),
    "RNN": (4, 3),
    "GRU": (4, 3),
    "LSTM": (4, 3),
    "RNNCell": (4, 3),
    "GRUCell": (4, 3),
    "LSTMCell": (4, 3),
    "TransformerEncoderLayer": (4, 2, 8),
    "TransformerDecoderLayer": (4, 2, 8),
    "MultiheadAttention": (4, 2),
    "Threshold": (0.1, 20.0),
    "Softmax": (-1,),
    "Softmin": (-1,),
    "LogSoftmax": (-1,),
    "LPPool1d": (2, 2),
    "LPPool2d": (2, 2),
    "LPPool3d": (2, 2),
    "Upsample": (8,),
}
"""Arguments of constructors, where there must be some."""

SHAPES: dict[str, tuple[int, ...]] = {
    "Softmax2d": (1, 2, 2, 2),
    "PixelShuffle": (1, 4, 2, 2),
    "PixelUnshuffle": (1, 1, 4, 4),
    "ChannelShuffle": (1, 4, 2, 2),
    "Unfold": (1, 1, 4, 4),
    "Fold": (1, 4, 2),
    "SyncBatchNorm": (2, 4),
    "LocalResponseNorm": (1, 4, 2),
    "ZeroPad2d": (1, 1, 2, 2),
    "ZeroPad3d": (1, 1, 2, 2, 2),
    "RNN": (5, 2, 4),
    "GRU": (5, 2, 4),
    "LSTM": (5, 2, 4),
    "TransformerEncoderLayer": (5, 2, 4),
    "TransformerDecoderLayer": (5, 2, 4),
    "MultiheadAttention": (5, 2, 4),
    "Upsample": (1, 2, 4),
}
NEEDS_OTHERS = frozenset({"Transformer", "TransformerEncoder", "TransformerDecoder", "SyncBatchNorm"})
"""Made of other modules, or for a GPU."""


def made(name: str) -> Any:
    """A module of this class, with few channels."""
    module = getattr(torch.nn, name)
    dimension = name[-2] if name[-2:] in ("1d", "2d", "3d") else ""
    if name == "KLDivLoss":
        return module(reduction="batchmean")
    if name in CONSTRUCTED:
        return module(*CONSTRUCTED[name])
    if not dimension or "Dropout" in name or name == "Softmax2d":
        return module()
    if name.startswith("ConstantPad"):
        return module(1, 0.5)
    if name.startswith("LazyConv"):
        return module(2, 2)
    if "Pad" in name or "Pool" in name:
        return module(1 if "Pad" in name else 2)
    if "Conv" in name:
        return module(2, 2, 2)
    return module() if name.startswith("LazyBatch") else module(2)


def inputs_of(name: str, num_arguments: int) -> list[Any]:
    """What a module is called with."""
    if name.startswith("Embedding"):
        return [torch.tensor([[0, 1], [2, 3]])]
    if name == "CTCLoss":
        logits = 40 * torch.randn(5, 2, 4)
        return [logits.log_softmax(-1), torch.ones(2, 1, dtype=torch.int64), (5, 5), (1, 1)]
    if name in ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"):
        return [(20 * torch.randn(2, 4)).log_softmax(-1), torch.tensor([0, 3])]
    if name in ("BCELoss", "BCEWithLogitsLoss", "MultiLabelSoftMarginLoss", "KLDivLoss"):
        return [(20 * torch.randn(2, 4)).sigmoid(), torch.rand(2, 4)]
    if name == "MultiLabelMarginLoss":
        return [torch.randn(2, 4), torch.zeros(2, 4, dtype=torch.int64)]
    if name in ("CosineEmbeddingLoss", "MarginRankingLoss"):
        target = torch.tensor([1.0, -1.0])
        return [torch.randn(2, 4), torch.randn(2, 4), target if name[0] == "C" else target[:, None]]
    if name in ("SoftMarginLoss", "HingeEmbeddingLoss"):
        return [torch.randn(2, 4), torch.randn(2, 4).sign()]
    if name == "GaussianNLLLoss":
        return [torch.randn(2, 4), torch.randn(2, 4), torch.rand(2, 4)]
    dimension = int(name[-2]) if name[-2:] in ("1d", "2d", "3d") else 0
    shape = SHAPES.get(name, (1, 2, *(4,) * dimension) if dimension else (2, 4))
    if name.startswith("Transformer") and name.endswith("DecoderLayer"):
        num_arguments = 2
    return [30 * torch.randn(shape) for _ in range(num_arguments)]


NAMES = sorted(path.removeprefix("torch.nn.") for path in MODULES)


@pytest.mark.parametrize("name", NAMES)
def test_the_operation_is_in_the_table(name: str) -> None:
    assert MODULES[f"torch.nn.{name}"].operation in OPERATIONS


@pytest.mark.parametrize("name", NAMES)
def test_settings_and_arguments_are_those_of_the_class(name: str) -> None:
    call = MODULES[f"torch.nn.{name}"]
    module = getattr(torch.nn, name)
    constructor = list(inspect.signature(module.__init__).parameters)[1:]
    for ours, real in zip(call.settings, constructor, strict=False):
        assert ours in (real, "_"), f"{ours} for {real}"
    assert len(call.settings) <= len(constructor)
    parameters = list(inspect.signature(module.forward).parameters)[1:]
    assert len(call.arguments) <= len(parameters)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NEEDS_OTHERS])
@pytest.mark.parametrize("is_training", [True, False], ids=["training", "evaluation"])
def test_the_module_does_what_the_row_says(name: str, is_training: bool) -> None:
    torch.manual_seed(0)
    call = MODULES[f"torch.nn.{name}"]
    module = made(name).train(is_training)
    tensors = inputs_of(name, len(call.arguments))
    with torch.no_grad():
        result = module(*tensors)
    values = {
        parameter: value_of(tensor)
        for parameter, tensor in zip(call.arguments, tensors, strict=False)
        if isinstance(tensor, torch.Tensor)
    }
    for setting, given in zip(call.settings, CONSTRUCTED.get(name, ()), strict=False):
        if isinstance(given, int | float):
            values[setting] = constant(float(given))
    if name.startswith("ConstantPad"):
        values["value"] = constant(0.5)
    claim = OPERATIONS[call.operation].transfer(Operands(cst.Name("call"), values))
    check(name, claim, result)


def value_of(tensor: Any) -> Value:
    """A tensor as the range of its elements."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    return Value(float(tensor.min()), float(tensor.max()), dtype=dtype, kind=TENSOR)


def check(name: str, claim: Value, result: Any) -> None:
    if isinstance(result, tuple):
        assert claim.kind == SEQUENCE, name
        assert claim.items is not None
        for item, part in zip(claim.items, result, strict=True):
            check(name, item, part)
        return
    assert claim.kind == TENSOR, name
    assert claim.low <= float(result.min()), name
    assert float(result.max()) <= claim.high, name


@pytest.mark.parametrize("name", ["Linear", "Conv2d", "ConvTranspose1d", "Bilinear"])
def test_the_output_of_a_layer_with_weights_has_no_bounds(name: str) -> None:
    call = MODULES[f"torch.nn.{name}"]
    values = {argument: Value(0.0, 1.0, kind=TENSOR) for argument in call.arguments}
    result = OPERATIONS[call.operation].transfer(Operands(cst.Name("call"), values))
    assert result.at_low is not None
    assert result.at_low == result.at_high
    assert result.at_low.witness == "a network output has no bounds"
    assert result.has_gradient
