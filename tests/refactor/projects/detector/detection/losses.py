"""What the detector is trained for."""

import torch.nn.functional as F


class DetectionLoss:
    def __init__(self, box_weight: float = 0.5) -> None:
        self.box_weight = box_weight

    def __call__(self, predictions, targets):
        bboxes, scores = predictions
        target_boxes, target_labels = targets
        loss = F.cross_entropy(scores.flatten(0, 1), target_labels.flatten())
        return loss + self.box_weight * F.smooth_l1_loss(bboxes, target_boxes)
