"""Losses over the classes of pixels."""

import torch
import torch.nn.functional as F
from torch import nn


class WeightedCrossEntropy(nn.Module):
    """Cross entropy in which every pixel has a weight of its own."""

    def forward(self, logits, mask, weight):
        log_probability = torch.log(F.softmax(logits, dim=1))
        loss = -log_probability.gather(1, mask.unsqueeze(1)).squeeze(1)
        return (loss * weight).sum() / weight.sum()


def dice_loss(logits, mask):
    probability = logits.softmax(dim=1)
    target = F.one_hot(mask, num_classes=logits.shape[1]).permute(0, 3, 1, 2).float()
    overlap = (probability * target).sum(dim=(0, 2, 3))
    total = (probability + target).sum(dim=(0, 2, 3))
    return 1 - ((2 * overlap + 1) / (total + 1)).mean()
