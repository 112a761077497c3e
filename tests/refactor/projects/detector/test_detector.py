import torch

from dataset import NUM_ANCHORS
from detection import RetinaNet
from detection.heads import RetinaHead


def test_there_is_a_box_for_each_anchor():
    assert RetinaNet()(torch.rand(1, 3, 8, 8))[0].shape == (1, NUM_ANCHORS, 4)


def test_the_last_value_are_scores():
    assert RetinaNet(num_classes=5)(torch.rand(1, 3, 8, 8))[-1].shape == (1, NUM_ANCHORS, 5)


def test_a_head_keeps_the_size_of_the_map():
    cls, bbox = RetinaHead(8, 3)(torch.rand(1, 8, 4, 4))
    assert cls.shape[-2:] == bbox.shape[-2:]
