"""Two branches that share their weights."""

from torch import nn


class SiameseNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward_once(self, x):
        return self.branch(x)

    def forward(self, input1, input2):
        output1 = self.forward_once(input1)
        output2 = self.forward_once(input2)
        return output1, output2


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=1.0):
        super().__init__()
        self.margin = margin

    def forward(self, output1, output2, target):
        distance = (output1 - output2).pow(2).sum(1).add(1e-9).sqrt()
        return (target * distance.pow(2) + (1 - target) * (self.margin - distance).clamp(min=0).pow(2)).mean()
