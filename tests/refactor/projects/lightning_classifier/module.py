"""A Lightning module that classifies and embeds."""

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import nn


class Classifier(pl.LightningModule):
    def __init__(self, lr=1e-2):
        super().__init__()
        self.lr = lr
        self.body = nn.Linear(6, 8)
        self.head = nn.Linear(8, 3)
        self.history = []

    def forward(self, x):
        embedding = self.body(x).relu()
        logits = self.head(embedding)
        return logits, embedding

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits, embedding = self(x)
        loss = F.cross_entropy(logits, y) + 1e-3 * embedding.pow(2).mean()
        self.history.append(loss.item())
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits, _ = self.forward(x)
        self.history.append((logits.argmax(dim=1) == y).float().mean().item())

    def predict_step(self, batch, batch_idx):
        return self(batch[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)
