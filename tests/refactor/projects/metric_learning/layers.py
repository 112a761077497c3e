"""Normalization that also tells the length."""

from torch import nn


class Normalize(nn.Module):
    def forward(self, x):
        norm = x.norm(dim=1, keepdim=True)
        return x / (norm + 1e-6), norm
