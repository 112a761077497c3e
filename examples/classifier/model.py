"""A classifier that also gives the features it decides by."""

from torch import nn


class Backbone(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())

    def forward(self, point):
        return self.layers(point)


class Classifier(nn.Module):
    def __init__(self, num_classes: int, width: int = 64) -> None:
        super().__init__()
        self.backbone = Backbone(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, point):
        features = self.backbone(point)
        logits = self.head(features)
        return [logits, features]
