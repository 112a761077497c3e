import torch

from networks import Discriminator


class TestDiscriminator:
    def test_it_judges_each_input(self):
        self.discriminator = Discriminator()
        assert self.discriminator(torch.rand(3, 8))[0].shape == (3, 1)

    def test_its_features_are_not_negative_by_much(self):
        validity, features = Discriminator().forward(torch.rand(3, 8))
        assert features.min() > -1
        assert validity.shape[0] == len(features)
