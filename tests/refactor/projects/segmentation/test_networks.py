import torch

from networks import MultiTaskNet


def test_probabilities_in_evaluation():
    mask, _, label = MultiTaskNet().eval()(torch.rand(2, 1, 8, 8))
    assert 0 <= mask.min() and mask.max() <= 1
    assert torch.allclose(label.sum(dim=1), torch.ones(2))


def test_the_auxiliary_mask_is_half_as_large():
    outputs = MultiTaskNet()(torch.rand(2, 1, 8, 8))
    main, *others = outputs
    assert others[0].shape[-1] * 2 == main.shape[-1]
