"""An encoder and decoder with an auxiliary head."""

import torch
from torch import nn


def conv_block(num_in: int, num_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(num_in, num_out, 3, padding=1), nn.BatchNorm2d(num_out), nn.ReLU())


class SegmentationNet(nn.Module):
    def __init__(self, num_classes: int, width: int = 12) -> None:
        super().__init__()
        self.down = conv_block(1, width)
        self.bottom = nn.Sequential(nn.MaxPool2d(2), conv_block(width, 2 * width))
        self.up = nn.Upsample(scale_factor=2)
        self.decoder = conv_block(3 * width, width)
        self.head = nn.Conv2d(width, num_classes, 1)
        self.aux_head = nn.Sequential(nn.Conv2d(2 * width, num_classes, 1), nn.Upsample(scale_factor=2))

    def forward(self, image, with_aux: bool = False):
        skip = self.down(image)
        features = self.bottom(skip)
        logits = self.head(self.decoder(torch.cat([skip, self.up(features)], dim=1)))
        if with_aux:
            aux_logits = self.aux_head(features)
            return logits, aux_logits
        return logits
