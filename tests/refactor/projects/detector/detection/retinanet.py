"""A small RetinaNet: encoder, neck and heads in a `ModuleList`."""

import torch
from torch import Tensor, nn

from detection.heads import RetinaHead


class RetinaNet(nn.Module):
    def __init__(self, num_classes: int = 3, channels: int = 8) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, channels, 3, stride=2, padding=1)
        self.neck = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.heads = nn.ModuleList([RetinaHead(channels, num_classes) for _ in range(2)])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Runs the detector.

        Args:
            image: Batch of shape (B, 3, H, W).

        Returns:
            bboxes (Tensor): Offsets of shape (B, N, 4).
            scores (Tensor): Logits of shape (B, N, num_classes).
        """
        x = self.encoder(image).relu()
        levels = [x, self.neck(x).relu()]
        all_bboxes, all_scores = [], []
        for head, level in zip(self.heads, levels):
            cls, bbox = head(level)
            all_scores.append(cls.flatten(2).transpose(1, 2))
            all_bboxes.append(bbox.flatten(2).transpose(1, 2))
        bboxes = torch.cat(all_bboxes, dim=1)
        scores = torch.cat(all_scores, dim=1)
        return bboxes, scores


MODELS = {"retinanet": RetinaNet}


def build_detector(name: str, **kwargs) -> nn.Module:
    return MODELS[name](**kwargs)
