"""Made-up pictures in place of torchvision's datasets, which would be downloaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

NUM_TRAIN, NUM_TEST = 640, 256
_SHAPES = {"MNIST": (28, 28), "FashionMNIST": (28, 28), "CIFAR10": (32, 32, 3)}


class Pictures:
    """Random pictures of one shape, in ten classes, with the interface of MNIST and CIFAR10."""

    shape: tuple[int, ...]

    def __init__(
        self,
        root: str = "",
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        num = NUM_TRAIN if train else NUM_TEST
        made = torch.Generator().manual_seed(num)
        self.data: Tensor = torch.randint(0, 256, (num, *self.shape), dtype=torch.uint8, generator=made)
        self.targets: Tensor = torch.randint(0, 10, (num,), generator=made)
        self.classes = [str(number) for number in range(10)]
        self._transform, self._target_transform = transform, target_transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        picture: Any = Image.fromarray(np.asarray(self.data[index]))
        target: Any = int(self.targets[index])
        if self._transform is not None:
            picture = self._transform(picture)
        if self._target_transform is not None:
            target = self._target_transform(target)
        return picture, target


def replace_datasets() -> None:
    """From now on torchvision's MNIST, FashionMNIST and CIFAR10 are made up. Nothing without torchvision."""
    if importlib.util.find_spec("torchvision") is None:
        return
    from torchvision import datasets

    for name, shape in _SHAPES.items():
        setattr(datasets, name, type(name, (Pictures,), {"shape": shape}))
