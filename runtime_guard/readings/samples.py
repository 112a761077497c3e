"""What the user shows of a batch: the model's scores, what they should have been, and which samples they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

Phase: TypeAlias = Literal["train", "validation"]
Task: TypeAlias = Literal["classification", "binary", "multilabel", "segmentation", "detection", "other"]


@dataclass(frozen=True, slots=True)
class Samples:
    """N samples of a batch. Tensors are detached, and lie where the training left them."""

    phase: Phase
    epoch: int
    step: int
    task: Task
    scores: Any
    """Logits. Classification and multilabel: `(N, C)`; binary: `(N,)` or `(N, 1)`; segmentation: `(N, C, H, W)`;
    detection: a list of N dicts with `boxes` `(K, 4)` as corners x1, y1, x2, y2, `labels` `(K,)` and `scores`
    `(K,)`."""
    targets: Any
    """Classification and binary: `(N,)`; multilabel: `(N, C)` of 0 and 1; segmentation: `(N, H, W)` class numbers;
    detection: N dicts as above, without scores."""
    inputs: Any = None
    """Pictures `(N, 1 or 3, H, W)`, N strings, or whatever else the model took; None when not shown."""
    losses: Tensor | None = None
    """One per sample, `(N,)`."""
    indices: Tensor | None = None
    """The samples' indices in the dataset, `(N,)`."""

    def __len__(self) -> int:
        return len(self.targets)


def samples_of(  # noqa: PLR0913 - each is named by the user
    scores: Any,
    targets: Any,
    *,
    phase: Phase,
    epoch: int,
    step: int,
    inputs: Any = None,
    losses: Tensor | None = None,
    indices: Any = None,
) -> Samples:
    """Detached, and of the task that the shapes tell. Raises ValueError where the lengths do not agree."""
    scores, targets, inputs = _detached(scores), _detached(targets), _detached(inputs)
    if indices is not None and not isinstance(indices, Tensor):
        indices = torch.as_tensor(indices)
    num = len(targets)
    for name, value in (("scores", scores), ("inputs", inputs), ("losses", losses), ("indices", indices)):
        if value is not None and len(value) != num:
            raise ValueError(f"{name} has {len(value)} samples, expected {num}, as targets has")
    if losses is not None:
        losses = losses.detach().reshape(num, -1).mean(1)
    if _is_mask(scores, targets):
        # Yes or no for each pixel is a choice between two classes: the sigmoid of s is the softmax of (0, s).
        scores = torch.cat([torch.zeros_like(scores), scores], 1)
        targets = targets.reshape(num, *scores.shape[2:]).long()
    return Samples(phase, epoch, step, _task(scores, targets), scores, targets, inputs, losses, indices)


def _is_mask(scores: Any, targets: Any) -> bool:
    if not isinstance(scores, Tensor) or not isinstance(targets, Tensor):
        return False
    return scores.dim() == 4 and scores.shape[1] == 1 and targets.numel() == scores.numel()


def _detached(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {key: _detached(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_detached(item) for item in value]
    return value


def _task(scores: Any, targets: Any) -> Task:
    if isinstance(scores, list) and scores and isinstance(scores[0], dict) and "boxes" in scores[0]:
        return "detection"
    if not isinstance(scores, Tensor) or not isinstance(targets, Tensor):
        return "other"
    if scores.shape[1:] in ((), (1,)) and targets.numel() == scores.numel() and _are_labels(targets):
        return "binary"
    is_class = targets.dtype in (torch.int64, torch.int32, torch.uint8, torch.int16, torch.int8)
    if scores.dim() == 2 and targets.dim() == 1 and is_class:
        return "classification"
    if scores.dim() == 2 and scores.shape == targets.shape:
        return "multilabel"
    if scores.dim() == 4 and targets.dim() == 3 and is_class:
        return "segmentation"
    return "other"


def _are_labels(targets: Tensor) -> bool:
    """Whether these may say yes or no. Floats may, too: binary cross entropy wants them, of smoothed labels as well.

    Those on a GPU are not looked at, because that would wait; on the host they are read without a word to torch.
    """
    if not targets.is_floating_point() or targets.device.type != "cpu" or targets.dtype is torch.bfloat16:
        return not targets.is_complex()
    values = targets.numpy()
    return bool(((values >= 0) & (values <= 1)).all())
