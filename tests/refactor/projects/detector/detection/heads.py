"""The two heads of the detector."""

from torch import nn


class RetinaHead(nn.Module):
    """Predicts class scores and box offsets for each position of a feature map."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.cls_head = nn.Conv2d(channels, num_classes, 1)
        self.bbox_head = nn.Conv2d(channels, 4, 1)

    def forward(self, features):
        return self.cls_head(features), self.bbox_head(features)
