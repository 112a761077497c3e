"""A generator, and a discriminator that also gives its features for feature matching."""

from torch import nn


class Generator(nn.Module):
    def __init__(self, num_noise=4, num_outputs=8):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(num_noise, 16), nn.ReLU(), nn.Linear(16, num_outputs))

    def forward(self, noise):
        return self.net(noise)


class Discriminator(nn.Module):
    def __init__(self, num_inputs=8):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(num_inputs, 16), nn.LeakyReLU(0.2))
        self.head = nn.Linear(16, 1)

    def forward(self, x):
        features = self.features(x)
        validity = self.head(features)
        return validity, features
