"""Noisy pictures of rectangles and discs, with the class of every pixel."""

import torch
from torch.utils.data import Dataset

SIZE = 24
NUM_CLASSES = 3


class Shapes(Dataset):
    """Picture (1, 24, 24), class of each pixel (24, 24), and how much each pixel counts (24, 24)."""

    def __init__(self, length: int, seed: int = 0) -> None:
        self.length = length
        self.seed = seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int):
        generator = torch.Generator().manual_seed(self.seed * 100_003 + index)
        rows = torch.arange(SIZE).view(-1, 1)
        columns = torch.arange(SIZE).view(1, -1)
        row, column = torch.randint(6, SIZE - 6, (2,), generator=generator).tolist()
        left, top = torch.randint(1, SIZE - 8, (2,), generator=generator).tolist()
        mask = torch.zeros(SIZE, SIZE, dtype=torch.long)
        mask[top : top + 6, left : left + 7] = 1
        mask[(rows - row) ** 2 + (columns - column) ** 2 < 16] = 2
        noise = 0.3 * torch.randn(SIZE, SIZE, generator=generator)
        image = (mask.float() + noise).unsqueeze(0)
        weight = torch.where(mask > 0, 2.0, 1.0)
        return image, mask, weight
