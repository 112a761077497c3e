"""Noise with a mask, in two parts that are put together."""

import torch
from torch.utils.data import ConcatDataset, Dataset, Subset


class Scans(Dataset):
    def __init__(self, length, seed):
        generator = torch.Generator().manual_seed(seed)
        self.image = torch.rand(length, 1, 8, 8, generator=generator)
        self.mask = (self.image > 0.5).float()
        self.label = torch.randint(0, 3, (length,), generator=generator)

    def __len__(self):
        return len(self.image)

    def __getitem__(self, index):
        return self.image[index], self.mask[index], self.label[index]


def make_datasets():
    full = ConcatDataset([Scans(12, 1), Scans(12, 2)])
    return Subset(full, range(16)), Subset(full, range(16, 24))
