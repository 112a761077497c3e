import torch

from pairs.data import PairDataset, Points
from pairs.network import SiameseNetwork


def test_equal_inputs_give_equal_outputs():
    x = torch.rand(2, 4)
    left, right = SiameseNetwork()(x, x)
    assert torch.equal(left, right)


def test_a_target_says_whether_the_classes_agree():
    points = Points(8)
    pairs = PairDataset(points)
    for i in range(len(pairs)):
        agree = points[i][1] == points[pairs.other[i]][1]
        assert pairs[i][2] == agree.float()


def test_labels_are_both_classes():
    assert {int(label) for _, label in Points(32)} == {0, 1}
