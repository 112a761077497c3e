"""Grad-CAM: which parts of a picture speak for a class, by the gradients of its score at a layer that still has places.

The map of a layer with channels A_c is the positive part of sum_c w_c A_c, where w_c is the mean over all places of the
score's gradient with respect to A_c (Selvaraju et al., "Grad-CAM", ICCV 2017). A vision transformer's tokens are laid
out as the grid that they were cut from, without class and register tokens.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_MOST_EXTRA_TOKENS = 16
_CHUNK = 32
"""Layers whose gradients are asked for at a time: those of all layers need not lie in memory at once."""


@dataclass(frozen=True, slots=True)
class HeatMaps:
    """What was found for some pictures."""

    layer: str
    """Its name in the model."""
    maps: Tensor
    """On the host, `(targets, N, H, W)`, from 0 to 1: the largest of each map is 1, unless all of it is 0."""


def heat_maps(
    model: nn.Module,
    pictures: Tensor,
    scores_of: Callable[[Any], Tensor],
    targets: Sequence[Callable[[Tensor], Tensor]],
    *,
    layer: str | None = None,
    forward: Callable[[nn.Module, Tensor], Any] | None = None,
) -> HeatMaps | None:
    """Maps of pictures `(N, C, H, W)`, one for each of the targets.

    `scores_of` takes the scores out of the model's outputs, and each target takes out of them what speaks for a class,
    one number for each picture, `(N,)`. `layer` is the last one by default that the score depends on at more than one
    place; None where there is none. The model is run as it is: in which mode is the caller's affair. Raises ValueError
    where the layer that was named does not serve.
    """
    pictures = pictures.detach().clone()
    if pictures.is_floating_point():
        # All layers get gradients then, also those of a frozen model.
        pictures.requires_grad_()
    if layer is not None:
        layer = _named(model, layer)
    seen = _Seen(pictures, None if layer is None else {layer})
    with seen.watching(model):
        outputs = model(pictures) if forward is None else forward(model, pictures)
    chosen = [target(scores_of(outputs)) for target in targets]
    found = seen.last_with_places(chosen, is_given=layer is not None)
    if found is None and layer is not None:
        raise ValueError(f"the scores depend on no outputs of the layer {layer!r} that have places; name another one")
    if found is None:
        return None
    name, values, gradients = found
    maps = [class_activation(values, gradient, tuple(pictures.shape[-2:])) for gradient in gradients]
    return HeatMaps(name, torch.stack(maps).cpu())


def class_activation(values: Tensor, gradients: Tensor, size: Sequence[int]) -> Tensor:
    """Of a layer's values and gradients `(N, C, h, w)`: maps `(N, *size)`."""
    values, gradients = values.detach().float(), gradients.float()
    weights = gradients.mean((2, 3), keepdim=True)
    maps = (weights * values).sum(1, keepdim=True).relu().nan_to_num(0, 0, 0)
    maps = nn.functional.interpolate(maps, tuple(size), mode="bilinear")[:, 0]
    largest = maps.amax((1, 2), keepdim=True)
    return maps / torch.where(largest > 0, largest, 1)


class NoScoresError(ValueError):
    """A model's outputs have no tensor of the scores' shape."""


def scores_like(shape: Sequence[int]) -> Callable[[Any], Tensor]:
    """Takes the scores out of a model's outputs: the first tensor of N samples' scores of that shape.

    What it gives raises `NoScoresError` where there is none.
    """

    def scores_of(outputs: Any) -> Tensor:
        num = torch.Size(shape).numel()
        for tensor in _tensors(outputs):
            if tensor.dim() and tensor.shape[1:].numel() == num and tensor.is_floating_point():
                return tensor.reshape(len(tensor), *shape)
        raise NoScoresError(f"the model's outputs have no scores of the shape {tuple(shape)} for each sample")

    return scores_of


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from _tensors(getattr(value, name, None))


def _named(model: nn.Module, layer: str) -> str:
    names = [name for name, _ in model.named_modules() if name]
    if layer not in names:
        near = difflib.get_close_matches(layer, names, 1)
        hint = f"; do you mean {near[0]!r}?" if near else ""
        raise ValueError(f"the model has no layer {layer!r}{hint}")
    return layer


def _keeps_tokens(module: nn.Module) -> bool:
    """Whether tokens stay apart in its outputs as parts of a picture: in those of blocks and norms.

    In the projections within attention and perceptrons the channels are queries or keys, and say nothing by themselves.
    """
    return next(module.children(), None) is not None or "norm" in type(module).__name__.lower()


class _Seen:
    """Outputs of modules during one forward pass, in the order in which they came."""

    def __init__(self, pictures: Tensor, names: set[str] | None) -> None:
        """Of the modules of these names, or of all."""
        self._num = len(pictures)
        self._size = pictures.shape[-2], pictures.shape[-1]
        self._names = names
        self._outputs: dict[int, tuple[str, Tensor]] = {}

    def watching(self, model: nn.Module) -> Any:
        """A context in which a pass is looked at."""
        names = {id(module): name for name, module in model.named_modules() if name}

        def look(module: nn.Module, _args: Any, output: Any) -> None:
            name = names.get(id(module))
            if name is None or (self._names is not None and name not in self._names):
                return
            tensor = next(_tensors(output), None)
            if tensor is None or not tensor.requires_grad or tensor.dim() not in (3, 4):
                return
            if tensor.dim() == 3 and self._names is None and not _keeps_tokens(module):
                return
            # What works in place or hands on what it is given has another's output; its own name is the last.
            self._outputs.pop(id(tensor), None)
            self._outputs[id(tensor)] = name, tensor

        return nn.modules.module.register_module_forward_hook(look)

    def last_with_places(self, chosen: Sequence[Tensor], *, is_given: bool) -> tuple[str, Tensor, list[Tensor]] | None:
        """The last output on which a score depends at several places: its name, values and gradients `(N, C, h, w)`."""
        outputs = list(self._outputs.values())
        lengths = {tensor.shape[1] for _, tensor in outputs if tensor.dim() == 3 and len(tensor) == self._num}
        laid_out = [(name, tensor, layout) for name, tensor in outputs if (layout := self._layout(tensor, lengths))]
        while laid_out:
            laid_out, part = laid_out[:-_CHUNK], laid_out[-_CHUNK:]
            tensors = [tensor for _, tensor, _ in part]
            per_target = [
                torch.autograd.grad(score.sum(), tensors, retain_graph=True, allow_unused=True) for score in chosen
            ]
            for index in reversed(range(len(part))):
                name, tensor, layout = part[index]
                gradients = [grads[index] for grads in per_target]
                if any(gradient is None for gradient in gradients):
                    continue
                grids = [layout(gradient) for gradient in gradients if gradient is not None]
                num_places = max(int((grid != 0).any(1).flatten(1).sum(1).max()) for grid in grids)
                if num_places > 1 or is_given:
                    return name, layout(tensor), grids
        return None

    def _layout(self, tensor: Tensor, lengths: set[int]) -> Callable[[Tensor], Tensor] | None:
        """What makes `(N, C, h, w)` of a tensor; None where it has no places."""
        shape = tensor.shape
        if tensor.dim() == 4:
            if shape[0] != self._num or shape[2] in lengths:
                return None  # In attention, (N, heads, tokens, tokens) looks like a picture.
            if self._is_picture(shape[2], shape[3]):
                return lambda values: values
            if self._is_picture(shape[1], shape[2]):
                return lambda values: values.permute(0, 3, 1, 2)
            return None
        if shape[0] != self._num and shape[1] != self._num:
            return None
        is_first = shape[0] == self._num
        grid = self._grid(shape[1] if is_first else shape[0])
        if grid is None:
            return None
        num_extra, height, width = grid

        def layout(values: Tensor) -> Tensor:
            tokens = values if is_first else values.transpose(0, 1)
            return tokens[:, num_extra:].transpose(1, 2).reshape(len(tokens), -1, height, width)

        return layout

    def _is_picture(self, height: int, width: int) -> bool:
        """Whether a grid may be the picture, made smaller: strides and borders change its form by a place or so."""
        if height * width < 2 or height > self._size[0] or width > self._size[1]:
            return False
        expected = height * self._size[1] / self._size[0]
        return abs(width - expected) <= max(1.0, 0.1 * expected)

    def _grid(self, length: int) -> tuple[int, int, int] | None:
        """How many extra tokens stand before the grid, and its height and width."""
        for num_extra in range(min(_MOST_EXTRA_TOKENS, length - 3)):
            num = length - num_extra
            height = round((num * self._size[0] / self._size[1]) ** 0.5)
            if height and num % height == 0:
                width = num // height
                if abs(width * self._size[0] - height * self._size[1]) < max(self._size):
                    return num_extra, height, width
        return None
