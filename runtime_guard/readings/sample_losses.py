"""One number per sample that says how wrong the model is about it. Nothing here waits."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from runtime_guard.readings.samples import Samples


def losses_of(samples: Samples) -> Tensor | None:
    """`(N,)`, float: the losses that the user gave, or else those of the task; None where there is nothing to tell.

    NaN where the scores or the loss are NaN, minus infinity where there is no label to compare with. Classes, pixels
    and labels: the cross entropy, of pixels and labels their mean. Objects: how far true boxes are from being found
    by a sure prediction of their label, and sure predictions from a true box, on average; 0 is perfect, 1 all wrong.
    """
    scores = samples.scores
    if samples.losses is not None:
        losses = samples.losses.float()
        if isinstance(scores, Tensor) and scores.is_floating_point() and scores.numel():
            is_nan = scores.reshape(len(samples), -1).isnan().any(1)
            losses = losses.masked_fill(is_nan.to(losses.device, non_blocking=True), math.nan)
        return losses
    match samples.task:
        case "classification" | "segmentation":
            return _cross_entropy(scores, samples.targets)
        case "binary" | "multilabel":
            return _binary(scores, samples.targets)
        case "detection":
            pairs = zip(scores, samples.targets, strict=True)
            return torch.stack([_boxes_missed(found, true) for found, true in pairs]) if len(samples) else None
    return None


def _cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    """Not torch's: on a GPU that ends the process for a label that is no class."""
    classes = scores.shape[1]
    targets = targets.long()
    is_valid = (targets >= 0) & (targets < classes)
    scores = scores.float()
    chosen = scores.gather(1, targets.clamp(0, classes - 1).unsqueeze(1)).squeeze(1)
    return _mean(scores.logsumexp(1) - chosen, is_valid)


def _binary(scores: Tensor, targets: Tensor) -> Tensor:
    scores = scores.reshape(len(targets), -1).float()
    targets = targets.reshape(scores.shape).float()
    losses = torch.nn.functional.softplus(scores) - scores * targets
    return _mean(losses, (targets >= 0) & (targets <= 1))


def _mean(losses: Tensor, is_valid: Tensor) -> Tensor:
    """Of each sample's valid entries."""
    losses, is_valid = losses.reshape(len(losses), -1), is_valid.reshape(len(losses), -1)
    num = is_valid.sum(1)
    mean = losses.masked_fill(~is_valid, 0).sum(1) / num.clamp(min=1)
    return mean.masked_fill(num == 0, -math.inf)


def _boxes_missed(found: dict[str, Any], true: dict[str, Any]) -> Tensor:
    """Of no dimensions."""
    scores = found["scores"].float()
    num = len(scores) + len(true["boxes"])
    if not len(scores) or not len(true["boxes"]):
        # Everything there is was missed, or is a false alarm.
        nothing: Tensor = (scores.sum() + len(true["boxes"])) / max(num, 1)
        return nothing
    overlaps = box_overlaps(found["boxes"].float(), true["boxes"].to(scores.device).float())
    overlaps = overlaps * (found["labels"][:, None] == true["labels"].to(scores.device)[None])
    missed: Tensor = (1 - (overlaps * scores[:, None]).amax(0)).sum()
    alarms: Tensor = (scores * (1 - overlaps.amax(1))).sum()
    return (missed + alarms) / num


def box_overlaps(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union, `(K, L)`, of boxes `(K, 4)` and `(L, 4)` given by their corners."""
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - common
    return common / union.clamp(min=1e-12)
