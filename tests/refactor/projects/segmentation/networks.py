"""A multi-task network: masks at two depths, and a class for the picture."""

from torch import nn


class Block(nn.Module):
    def __init__(self, num_in, num_out):
        super().__init__()
        self.conv = nn.Conv2d(num_in, num_out, 3, padding=1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        skip = self.conv(x).relu()
        return self.pool(skip), skip


class MultiTaskNet(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.down = Block(1, 4)
        self.bottom = nn.Conv2d(4, 4, 3, padding=1)
        self.up = nn.Upsample(scale_factor=2)
        self.mask_head = nn.Conv2d(8, 1, 1)
        self.aux_head = nn.Conv2d(4, 1, 1)
        self.classifier = nn.Linear(4, num_classes)

    def encode(self, x):
        return self.down(x)

    def forward(self, x):
        import torch

        x, skip = self.encode(x)
        bottom = self.bottom(x).relu()
        mask = self.mask_head(torch.cat([self.up(bottom), skip], dim=1))
        aux_mask = self.aux_head(bottom)
        label = self.classifier(bottom.mean(dim=(2, 3)))
        if self.training:
            return mask, aux_mask, label
        return mask.sigmoid(), aux_mask.sigmoid(), label.softmax(dim=1)
