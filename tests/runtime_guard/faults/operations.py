"""Faults that sit in one operation: functions of a hidden tensor, with the line at fault marked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

MARK = "# the fault"


@dataclass(frozen=True)
class OperationFault:
    """One function that makes a bad number."""

    apply: Callable[[Tensor], Tensor]
    operations: tuple[str, ...]
    """What torch calls the operation at fault."""
    phase: str = "forward"
    rule: str | None = None
    """The rule that describes it."""

    @property
    def line(self) -> int:
        return _marked_line(self.apply.__name__)


def _marked_line(name: str) -> int:
    """The marked line after `def name`, or after `class Name` where a class of that name in capitals is meant."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith((f"def {name}(", f"class {name}(")))
    return next(i for i in range(start, len(lines)) if lines[i].endswith(MARK)) + 1


def log_zero(x: Tensor) -> Tensor:
    ratio = x.abs() * 0
    return x + torch.log(ratio)  # the fault


def log_of_saturated_sigmoid(x: Tensor) -> Tensor:
    probability = torch.sigmoid(x * 0 - 200)
    return x + probability.log()  # the fault


def sqrt_gradient(x: Tensor) -> Tensor:
    distance = (x - x.detach()) ** 2
    return x + distance.sqrt()  # the fault


def masked_mean(x: Tensor) -> Tensor:
    mask = (x > 1e9).to(x.dtype)
    mean = (x * mask).sum() / mask.sum()  # the fault
    return x + mean


def float16_overflow(x: Tensor) -> Tensor:
    scores = (x * 0 + 300).half()
    energy = scores * scores  # the fault
    return x + energy.float()


def float16_cast(x: Tensor) -> Tensor:
    wide = x * 0 + 1e5
    return x + wide.to(torch.float16).float()  # the fault


def bfloat16_overflow(x: Tensor) -> Tensor:
    scores = (x * 0 + 2e38).bfloat16()
    doubled = scores * 4  # the fault
    return x + doubled.float()


def exp_overflow(x: Tensor) -> Tensor:
    log_ratio = x * 0 + 100
    ratio = log_ratio.exp()  # the fault
    return x + ratio


def where_gradient(x: Tensor) -> Tensor:
    positive = x.abs() * 0
    return x + torch.where(
        positive > 0,
        positive.log(),  # the fault
        positive,
    )


def masked_softmax(x: Tensor) -> Tensor:
    scores = x.flatten(1)
    mask = torch.zeros_like(scores, dtype=torch.bool)
    mask[1] = True
    weights = scores.masked_fill(mask, -math.inf).softmax(-1)  # the fault
    return x + weights.view_as(x)


def mean_of_empty(x: Tensor) -> Tensor:
    chosen = x[x > 1e9]
    return x + chosen.mean()  # the fault


def std_of_one(x: Tensor) -> Tensor:
    return x - x.flatten()[:1].std()  # the fault


def mask_by_product(x: Tensor) -> Tensor:
    penalty = torch.full_like(x, math.inf)
    return x + penalty * (x > 1e9)  # the fault


def acos_gradient(x: Tensor) -> Tensor:
    cosine = 1 - (x - x.detach())
    return x + torch.acos(cosine)  # the fault


def division_in_place(x: Tensor) -> Tensor:
    scaled = x.clone()
    scale = x.detach() * 0
    scaled.div_(scale)  # the fault
    return scaled


def addition_in_place(x: Tensor) -> Tensor:
    total = torch.full_like(x, 3e38)
    total += 3e38  # the fault
    return x + total


def rsqrt_of_variance(x: Tensor) -> Tensor:
    variance = (x - x.detach()).pow(2)
    scale = variance.rsqrt()  # the fault
    return x + scale.clamp(max=math.inf)


class Normalize(torch.autograd.Function):
    """Divides by its second argument."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(scale)
        return x / scale  # the fault

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (scale,) = ctx.saved_tensors
        return gradients[0] / scale, None


def division_in_function(x: Tensor) -> Tensor:
    return Normalize.apply(x, x.detach() * 0)  # type: ignore[no-any-return,no-untyped-call]


class Rescale(torch.autograd.Function):
    """Hands on its input; its gradient is divided by the second argument."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(scale)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (scale,) = ctx.saved_tensors
        return gradients[0] / scale, None  # the fault


def division_in_function_backward(x: Tensor) -> Tensor:
    return Rescale.apply(x, x.detach() * 0)  # type: ignore[no-any-return,no-untyped-call]


@dataclass(frozen=True)
class _Elsewhere(OperationFault):
    """A fault whose line is in another function than the one that is applied."""

    home: str = ""

    @property
    def line(self) -> int:
        return _marked_line(self.home)


OPERATIONS: dict[str, OperationFault] = {
    "log_zero": OperationFault(log_zero, ("log",), rule="TRN204"),
    "log_of_saturated_sigmoid": OperationFault(log_of_saturated_sigmoid, ("log",), rule="TRN201"),
    "sqrt_gradient": OperationFault(sqrt_gradient, ("sqrt",), "backward", "TRN205"),
    "masked_mean": OperationFault(masked_mean, ("div",), rule="TRN211"),
    "float16_overflow": OperationFault(float16_overflow, ("mul",)),
    "float16_cast": OperationFault(float16_cast, ("to_copy",)),
    "bfloat16_overflow": OperationFault(bfloat16_overflow, ("mul",)),
    "exp_overflow": OperationFault(exp_overflow, ("exp",), rule="TRN207"),
    "where_gradient": OperationFault(where_gradient, ("log",), "backward", "TRN210"),
    "masked_softmax": OperationFault(masked_softmax, ("softmax",), rule="TRN212"),
    "mean_of_empty": OperationFault(mean_of_empty, ("mean",), rule="TRN211"),
    "std_of_one": OperationFault(std_of_one, ("std",), rule="TRN217"),
    "mask_by_product": OperationFault(mask_by_product, ("mul",), rule="TRN218"),
    "acos_gradient": OperationFault(acos_gradient, ("acos",), "backward", "TRN209"),
    "division_in_place": OperationFault(division_in_place, ("div",), rule="TRN206"),
    "addition_in_place": OperationFault(addition_in_place, ("add",)),
    "rsqrt_of_variance": OperationFault(rsqrt_of_variance, ("rsqrt",), rule="TRN205"),
    "division_in_function": _Elsewhere(division_in_function, ("div",), rule="TRN206", home="Normalize"),
    "division_in_function_backward": _Elsewhere(
        division_in_function_backward, ("div",), "backward", "TRN206", home="Rescale"
    ),
}
