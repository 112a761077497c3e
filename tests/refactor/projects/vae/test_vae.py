import torch

from data import Squares
from model import VAE


def test_the_reconstruction_has_the_size_of_the_input():
    assert VAE(36)(torch.rand(2, 36))[0].shape == (2, 36)


def test_all_values_have_a_batch_dimension():
    out = VAE(36)(torch.rand(2, 36))
    assert len(out) == 3
    assert all(value.shape[0] == 2 for value in out)


def test_a_sample_is_a_picture_and_a_label():
    picture, label = Squares(3)[1]
    assert picture.shape == (36,)
    assert label.ndim == 0
