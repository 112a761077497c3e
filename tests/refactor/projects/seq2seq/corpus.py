"""Sequences and their mirror images."""

import torch
from torch.utils.data import DataLoader, Dataset


class Mirrored(Dataset):
    def __init__(self, length):
        self.source = torch.randint(1, 9, (length, 4), generator=torch.Generator().manual_seed(2))

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        source = self.source[index]
        return source, source.flip(0)  # mirrored


def get_dataloader(batch_size):
    return DataLoader(Mirrored(24), batch_size=batch_size, shuffle=True)
