"""Where in a picture the model looked when it was most wrong, and most right."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from runtime_guard import ranks
from runtime_guard.drawing.gallery import Tile, draw_gallery
from runtime_guard.drawing.heat import heated
from runtime_guard.monitor import Epoch, Monitor, Run
from runtime_guard.reading import Picture, Reading, Text
from runtime_guard.readings.aside import aside
from runtime_guard.readings.class_activation import NoScoresError, heat_maps, scores_like
from runtime_guard.readings.extremes import Extremes, Kind, Measure, Sample, on_host
from runtime_guard.readings.sample_losses import losses_of
from runtime_guard.readings.sample_views import as_picture, said_of
from runtime_guard.readings.samples import Phase, Samples

_WORDS = {"train": "training", "validation": "validation"}
_TITLES: dict[Kind, str] = {"worst": "worst", "best": "best"}
_TASKS = ("classification", "binary", "multilabel")


class GradCam(Monitor):
    """Which parts of a picture speak for what the model says (Grad-CAM), over the worst and best samples of each epoch.

    A model that is right for the wrong reason looks at the background, a watermark or the border; one that is wrong
    shows what it took for something else. Beside each picture lies the heat for the class that the model chose, and
    where that is not the true one, the heat for the true one. Warm places speak for the class, dark ones do not.

    Looks at what `Guard.samples` was shown with pictures, as the model takes them, and classes: one of several, yes or
    no, or several labels at once. The model is run once more for these pictures when the epoch ends, in evaluation
    mode, and left as it was. Convolutional networks and vision transformers need no setting; of models that are
    sharded (FSDP), and of those that see no places, such as perceptrons, there are none.

    Writes:
        `grad_cam/worst/*`: picture of the samples with the largest losses, in `train` and `validation`.
        `grad_cam/best/*`: picture of those with the smallest.
        `grad_cam/missing`: text that says why there are none, once.

    When: each epoch; the pictures are of the first rank's samples.
    Cost: the losses of each batch that is shown, and copies of the few samples that are among the extreme ones; at the
        end of an epoch a forward pass and two backward passes of at most `4 k` pictures.

    Args:
        k: How many of each kind, at least 1.
        layer: The name of the layer whose places are looked at, as in `model.named_modules()`: the last one by default
            that the scores depend on at more than one place.
        model: The name of the model; without it there are no maps where the guard watches several.
        forward: What gives the scores, in place of the model's own call: a function from the model and pictures
            `(N, C, H, W)` to its outputs.
        measure: What makes a sample bad, in place of the loss, as for `ExtremeBatches`.
    """

    def __init__(
        self,
        k: int = 4,
        *,
        layer: str | None = None,
        model: str | None = None,
        forward: Callable[[nn.Module, Tensor], Any] | None = None,
        measure: Measure = losses_of,
    ) -> None:
        if k < 1:
            raise ValueError(f"k is {k}, expected 1 or more samples")
        self.k = k
        self._layer, self._name, self._forward, self._measure = layer, model, forward, measure
        self._models: Mapping[str, nn.Module] = {}
        self._class_names: Sequence[str] = ()
        self._extremes: dict[Phase, Extremes] = {}
        self._has_told = False

    def start(self, run: Run) -> None:
        """Learns the models and the names of the classes."""
        self._models, self._class_names = run.models, run.class_names

    def observe(self, samples: Samples) -> None:
        """Keeps what is extreme."""
        if samples.task in _TASKS and _are_pictures(samples.inputs) and ranks.rank() == 0:
            self._extremes.setdefault(samples.phase, Extremes(self.k, self._measure)).add(samples)

    def end_epoch(self, epoch: Epoch) -> Iterator[Reading]:
        """Runs the model on them."""
        found, self._extremes = self._extremes, {}
        try:
            for phase, extremes in found.items():
                for kind, samples in extremes.taken().items():
                    if kind in _TITLES:
                        yield self._gallery(phase, kind, samples, epoch.number)
        except _MissingError as reason:
            if not self._has_told:
                self._has_told = True
                yield Reading("grad_cam/missing", Text(f"There are no heat maps (Grad-CAM): {reason}"))

    def _gallery(self, phase: Phase, kind: Kind, samples: Sequence[Sample], epoch: int) -> Reading:
        layer, tiles = self._tiles(samples)
        title = f"What speaks for a class (Grad-CAM): {_TITLES[kind]} samples in {_WORDS[phase]}, epoch {epoch}"
        note = f"heat at the layer {layer}, from dark to bright"
        draw = functools.partial(draw_gallery, tiles, title, note=note)
        return Reading(f"grad_cam/{kind}/{phase}", Picture(draw, f"{title}; {note}"))

    def _tiles(self, samples: Sequence[Sample]) -> tuple[str, list[Tile]]:
        """Of the samples that have pictures of one form, with the layer's name."""
        model = self._model()
        samples = [sample for sample in samples if sample.input.shape == samples[0].input.shape]
        pictures = torch.stack([sample.input for sample in samples])
        parameter = next(model.parameters(), None)
        if parameter is not None:
            pictures = pictures.to(parameter.device)
        chosen, true = (torch.stack(list(weights)) for weights in zip(*map(_weights, samples), strict=True))
        targets = [functools.partial(_weighted, weights) for weights in (chosen, true)]
        with aside(model):
            scores_of = scores_like(samples[0].score.shape)
            try:
                found = heat_maps(model, pictures, scores_of, targets, layer=self._layer, forward=self._forward)
            except NoScoresError as error:
                raise _MissingError(f"{error}; `GradCam(forward=...)` takes a function that gives them.") from None
        if found is None:
            raise _MissingError("no layer's outputs have places that the scores depend on.")
        tiles = []
        for number, sample in enumerate(samples):
            has_two = bool(true[number].any()) and not torch.equal(chosen[number], true[number])
            tiles.append(self._tile(sample, found.maps[: 2 if has_two else 1, number]))
        return found.layer, tiles

    def _tile(self, sample: Sample, heats: Tensor) -> Tile:
        score, target = on_host(sample.score), on_host(sample.target)
        true, predicted = said_of(sample.task, score, target, self._class_names)
        picture = as_picture(on_host(sample.input))
        assert picture is not None
        step = -(-max(sample.input.shape[-2:]) // max(picture.shape[:2]))
        pictures = [picture, *(heated(picture, heat[::step, ::step].numpy()) for heat in heats)]
        heading = f"{'' if sample.index is None else f'#{sample.index}   '}loss {sample.loss:.3g}"
        names = ["", "for what was predicted", "for what is true"][: len(pictures)]
        return Tile(pictures, [heading, f"true: {true}", f"predicted: {predicted}"], names=names)

    def _model(self) -> nn.Module:
        """Without what wraps it."""
        names = ", ".join(f"`{name}`" for name in self._models)
        if self._name is not None and self._name not in self._models:
            raise ValueError(f"there is no model {self._name!r} among {names}")
        if self._name is None and len(self._models) != 1:
            raise _MissingError(f"there are several models, {names}; `GradCam(model=...)` takes the name of one.")
        model = self._models[self._name if self._name is not None else next(iter(self._models))]
        while isinstance(inner := _unwrapped(model), nn.Module):
            model = inner
        is_sharded = any(hasattr(parameter, "device_mesh") for parameter in model.parameters())
        if is_sharded or any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()):
            raise _MissingError("the model is sharded, and each rank has only a part of it.")
        return model


class _MissingError(Exception):
    """Why there are no maps."""


def _unwrapped(model: nn.Module) -> object:
    """The model that it wraps; None where it wraps none."""
    if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return model.module
    return getattr(model, "_orig_mod", None)


def _are_pictures(inputs: Any) -> bool:
    return isinstance(inputs, Tensor) and inputs.dim() == 4 and inputs.shape[1] in (1, 3)


def _weights(sample: Sample) -> tuple[Tensor, Tensor]:
    """Weights of a sample's scores, of their form: what speaks for what the model says, and for what is true."""
    score, target = sample.score.float(), sample.target
    match sample.task:
        case "classification":
            classes = torch.arange(len(score), device=score.device)
            return (classes == score.argmax()).float(), (classes == target).float()
        case "binary":
            return torch.where(score >= 0, 1.0, -1.0), torch.where(target.reshape(score.shape) > 0.5, 1.0, -1.0)
        case _:
            return (score > 0).float(), (target > 0.5).float()


def _weighted(weights: Tensor, scores: Tensor) -> Tensor:
    """`(N,)`."""
    return (scores * weights.to(scores.device)).flatten(1).sum(1)
