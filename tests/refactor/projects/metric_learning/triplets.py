"""Triplets under a condition, without end."""

import torch
from torch.utils.data import IterableDataset


class Triplets(IterableDataset):
    def __init__(self, length):
        self.length = length

    def __iter__(self):
        generator = torch.Generator().manual_seed(5)
        for _ in range(self.length):
            anchor, positive, negative = torch.rand(3, 6, generator=generator)
            condition = torch.randint(0, 2, (), generator=generator)
            yield anchor, positive, negative, condition
