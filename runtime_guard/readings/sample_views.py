"""What there is to be seen and said of one sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from runtime_guard.drawing.canvas import GREEN, RED, Colour
from runtime_guard.drawing.gallery import Box, Tile
from runtime_guard.readings.extremes import Sample, on_host
from runtime_guard.readings.sample_losses import box_overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

ORANGE: Colour = (240, 140, 20)
PURPLE: Colour = (132, 84, 196)
LEGENDS: dict[str, tuple[tuple[str, Colour], ...]] = {
    "segmentation": (
        ("found (true positive)", GREEN), ("missed (false negative)", RED), ("false alarm (false positive)", ORANGE),
        ("wrong class", PURPLE),
    ),
    "detection": (("found", GREEN), ("missed", RED), ("false alarm", ORANGE)),
}  # fmt: skip
_MAX_SIDE = 512
_SURE = 0.5


@dataclass(frozen=True, slots=True)
class View:
    """A sample on the host."""

    true: str
    predicted: str
    """With how sure the model is."""
    text: str | None
    """Where the model was shown a text."""
    tile: Tile | None
    """Where it was shown a picture."""


def view_of(sample: Sample, names: Sequence[str]) -> View:
    """Waits."""
    score, target, shown = on_host(sample.score), on_host(sample.target), on_host(sample.input)
    true, predicted = said_of(sample.task, score, target, names)
    picture = as_picture(shown)
    tile = None
    if picture is not None:
        heading = f"{'' if sample.index is None else f'#{sample.index}   '}loss {sample.loss:.3g}"
        said = [f"true: {true}", f"predicted: {predicted}"] if true else [predicted]
        lines = [heading, *(line for line in said if line)]
        pictures, boxes = [picture], []
        if sample.task == "segmentation":
            pictures.append(overlay(picture, score, target))
        elif sample.task == "detection":
            boxes = _boxes(score, target, shown.shape[-2:], names)
        tile = Tile(pictures, lines, boxes)
    return View(true, predicted, shown if isinstance(shown, str) else None, tile)


def said_of(task: str, score: Any, target: Any, names: Sequence[str]) -> tuple[str, str]:
    """What is true, and what the model says; empty where words do not tell."""

    def name(index: int) -> str:
        return str(names[index]) if 0 <= index < len(names) else str(index)

    match task:
        case "classification":
            probability = score.float().softmax(0)
            predicted = int(probability.argmax())
            return name(int(target)), f"{name(predicted)}, {_percent(probability[predicted])}"
        case "binary":
            probability = score.float().reshape(()).sigmoid()
            sureness = torch.maximum(probability, 1 - probability)
            return name(int(target)), f"{name(int(probability >= 0.5))}, {_percent(sureness)}"
        case "multilabel":
            labels = (target.float() > 0.5, score.float() > 0)
            there, found = (", ".join(name(i) for i in mask.nonzero()[:, 0].tolist()) or "none" for mask in labels)
            return there, found
        case "segmentation":
            is_valid = (target >= 0) & (target < len(score))
            is_right = (score.argmax(0) == target) & is_valid
            return "", f"{int(is_right.sum()) / max(int(is_valid.sum()), 1):.1%} of the pixels right"
        case "detection":
            is_found, is_alarm, _ = _matched(score, target)
            num, alarms = len(is_found), int(is_alarm.sum())
            return "", f"{int(is_found.sum())} of {num} found, {alarms} false alarm{'' if alarms == 1 else 's'}"
    return "", ""


def _percent(probability: Tensor) -> str:
    return f"{float(probability):.0%}" if not probability.isnan() else "NaN"


def as_picture(value: Any) -> NDArray[Any] | None:
    """uint8, `(H, W, 3)`, of a tensor on the host, `(1 or 3, H, W)`; None where it is no picture.

    Numbers between 0 and 1 are taken for what they are, others spread over all of black to white.
    """
    if not isinstance(value, Tensor) or value.dim() != 3 or value.shape[0] not in (1, 3) or not value.numel():
        return None
    if value.dtype != torch.uint8:
        value = value.float().nan_to_num(0, 0, 0)
        low, high = value.amin(), value.amax()
        if low < 0 or high > 1:
            value = (value - low) / (high - low).clamp(min=1e-12)
        value = (value * 255).round().to(torch.uint8)
    step = -(-max(value.shape[1:]) // _MAX_SIDE)
    pixels: NDArray[Any] = value[:, ::step, ::step].expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    return pixels


def overlay(picture: NDArray[Any], score: Tensor, target: Tensor) -> NDArray[Any]:
    """The picture in grey, and over it each pixel's fate. Class 0 is what is around objects."""
    predicted = score.argmax(0)
    is_valid = (target >= 0) & (target < len(score))
    masks = (
        ((predicted == target) & (target > 0), GREEN),
        ((predicted == 0) & (target > 0), RED),
        ((predicted > 0) & (target == 0), ORANGE),
        ((predicted > 0) & (target > 0) & (predicted != target), PURPLE),
    )
    grey = torch.from_numpy(picture).float().mean(2)[None, None]
    height, width = target.shape
    grey = torch.nn.functional.interpolate(grey, (height, width), mode="nearest")[0, 0]
    found = grey[..., None].expand(-1, -1, 3).clone()
    for mask, colour in masks:
        chosen = mask & is_valid
        found[chosen] = 0.35 * found[chosen] + 0.65 * torch.tensor(colour, dtype=torch.float32)
    step = -(-max(height, width) // _MAX_SIDE)
    pixels: NDArray[Any] = found[::step, ::step].round().to(torch.uint8).numpy()
    return pixels


def _matched(found: dict[str, Tensor], true: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Which true boxes are found, which sure predictions are false alarms, and which predictions are sure.

    A box is found by a sure prediction of its label that it shares half of their union with.
    """
    is_sure = found["scores"] >= _SURE
    boxes, labels = found["boxes"][is_sure].float(), found["labels"][is_sure]
    is_match = (box_overlaps(boxes, true["boxes"].float()) >= 0.5) & (labels[:, None] == true["labels"][None])
    return is_match.any(0), ~is_match.any(1), is_sure


def _boxes(found: dict[str, Tensor], true: dict[str, Tensor], full: Sequence[int], names: Sequence[str]) -> list[Box]:
    """`full` is the size in which boxes are measured."""
    is_found, is_alarm, is_sure = _matched(found, true)
    height, width = (int(side) for side in full)

    def box(corners: Tensor, label: Tensor, colour: Colour) -> Box:
        x1, y1, x2, y2 = corners.tolist()
        name = str(names[int(label)]) if 0 <= int(label) < len(names) else str(int(label))
        return Box((x1 / width, y1 / height, x2 / width, y2 / height), colour, name)

    alarms = zip(found["boxes"][is_sure][is_alarm], found["labels"][is_sure][is_alarm], strict=True)
    shown = [box(corners, label, ORANGE) for corners, label in alarms]
    for corners, label, is_there in zip(true["boxes"], true["labels"], is_found.tolist(), strict=True):
        shown.append(box(corners, label, GREEN if is_there else RED))
    return shown[:40]
