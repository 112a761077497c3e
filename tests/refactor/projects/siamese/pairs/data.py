"""Pairs of points and whether they are of one class."""

import random

import torch
from torch.utils.data import Dataset


class Points(Dataset):
    def __init__(self, length):
        generator = torch.Generator().manual_seed(11)
        self.points = torch.rand(length, 4, generator=generator)
        self.labels = (self.points.sum(dim=1) > 2).long()

    def __len__(self):
        return len(self.points)

    def __getitem__(self, i):
        point, label = self.points[i], self.labels[i]
        return point, label


class PairDataset(Dataset):
    """Each sample is made of two of another dataset."""

    def __init__(self, base, seed=0):
        self.base = base
        self.random = random.Random(seed)
        self.other = [self.random.randrange(len(base)) for _ in range(len(base))]

    def __len__(self):
        return len(self.base)

    def __getitem__(self, i):
        first, first_label = self.base[i]
        second, second_label = self.base[self.other[i]]
        target = (first_label == second_label).float()
        return first, second, target
