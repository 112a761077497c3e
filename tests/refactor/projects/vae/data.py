"""Pictures of bright squares."""

import torch
from torch.utils.data import Dataset


class Squares(Dataset):
    def __init__(self, length: int, size: int = 6) -> None:
        generator = torch.Generator().manual_seed(7)
        self.pictures = (torch.rand(length, size * size, generator=generator) > 0.6).float()
        self.labels = torch.randint(0, 3, (length,), generator=generator)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index):
        picture = self.pictures[index]
        label = self.labels[index]
        return picture, label
