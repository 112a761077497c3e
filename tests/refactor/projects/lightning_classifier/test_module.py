import torch

from datamodule import Blobs
from module import Classifier


def test_there_are_three_classes():
    assert Classifier()(torch.rand(2, 6))[0].shape == (2, 3)


def test_targets_are_classes():
    dataset = Blobs(10)
    assert all(0 <= target < 3 for _, target in dataset)
