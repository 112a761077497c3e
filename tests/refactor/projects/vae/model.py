"""A variational autoencoder whose encoder and whole both give several values."""

import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self, num_inputs: int, num_latent: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(num_inputs, 16), nn.ReLU())
        self.mu = nn.Linear(16, num_latent)
        self.logvar = nn.Linear(16, num_latent)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encodes pictures.

        Returns:
            tuple of the mean and the logarithm of the variance.
        """
        hidden = self.body(x)
        return self.mu(hidden), self.logvar(hidden)


class VAE(nn.Module):
    def __init__(self, num_inputs: int, num_latent: int = 3) -> None:
        super().__init__()
        self.encoder = Encoder(num_inputs, num_latent)
        self.decoder = nn.Sequential(nn.Linear(num_latent, 16), nn.ReLU(), nn.Linear(16, num_inputs))

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)

    def forward(self, x):
        mu, logvar = self.encoder(x)
        z = self.reparameterize(mu, logvar)
        return (
            self.decoder(z),  # logits, not probabilities
            mu,
            logvar,
        )
