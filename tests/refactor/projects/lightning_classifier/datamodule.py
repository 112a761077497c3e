"""The data of the module."""

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, Dataset, random_split


class Blobs(Dataset):
    def __init__(self, length):
        generator = torch.Generator().manual_seed(4)
        self.points = torch.rand(length, 6, generator=generator)
        self.classes = torch.randint(0, 3, (length,), generator=generator)

    def __len__(self):
        return len(self.points)

    def __getitem__(self, idx):
        features = self.points[idx]
        target = self.classes[idx]
        return features, target


class BlobsModule(pl.LightningDataModule):
    def __init__(self, batch_size=8):
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage=None):
        self.train, self.valid = random_split(Blobs(40), [32, 8], generator=torch.Generator().manual_seed(0))

    def train_dataloader(self):
        return DataLoader(self.train, batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.valid, batch_size=self.batch_size)

    def predict_dataloader(self):
        return self.val_dataloader()
