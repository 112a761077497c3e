"""Points on three spirals that wind around each other."""

import math

import torch
from torch.utils.data import Dataset

NUM_CLASSES = 3


class Spirals(Dataset):
    """Points of shape (2,) and the number of the spiral that each lies on."""

    def __init__(self, length: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.label = torch.arange(length) % NUM_CLASSES
        radius = torch.rand(length, generator=generator)
        angle = 4 * radius + self.label * (2 * math.pi / NUM_CLASSES)
        angle = angle + 0.1 * torch.randn(length, generator=generator)
        self.point = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, index: int):
        return self.point[index], self.label[index]
