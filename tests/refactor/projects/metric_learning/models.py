"""Embeddings under conditions, as for outfits: a mask for each condition chooses dimensions."""

import torch
from torch import nn

from layers import Normalize


class EmbeddingMixin:
    """Gives models an `embed` that leaves out what only training needs."""

    def embed(self, x, condition):
        return self(x, condition)[0]


class ConditionalEmbedding(EmbeddingMixin, nn.Module):
    def __init__(self, num_inputs=6, dim=4, num_conditions=2):
        super().__init__()
        self.backbone = nn.Linear(num_inputs, dim)
        self.masks = nn.Embedding(num_conditions, dim)
        self.normalize = Normalize()

    def forward(self, x, condition):
        embedding, norm = self.normalize(self.backbone(x))
        mask = self.masks(condition).relu()
        masked_embedding = embedding * mask
        mask_norm = mask.norm(1)
        return masked_embedding, mask_norm, norm


class ScaledEmbedding(ConditionalEmbedding):
    """The same with a learned scale."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x, condition):
        masked_embedding, mask_norm, norm = super().forward(x, condition)
        return masked_embedding * self.scale, mask_norm, norm
