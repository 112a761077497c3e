"""A small variational autoencoder."""

import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self, num_pixels: int, num_hidden: int, num_latent: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(num_pixels, num_hidden), nn.ReLU())
        self.mean = nn.Linear(num_hidden, num_latent)
        self.log_var = nn.Linear(num_hidden, num_latent)

    def forward(self, x):
        hidden = self.body(x)
        return self.mean(hidden), self.log_var(hidden)


class VAE(nn.Module):
    def __init__(self, num_pixels: int = 256, num_hidden: int = 64, num_latent: int = 8) -> None:
        super().__init__()
        self.encoder = Encoder(num_pixels, num_hidden, num_latent)
        self.decoder = nn.Sequential(nn.Linear(num_latent, num_hidden), nn.ReLU(), nn.Linear(num_hidden, num_pixels))

    def forward(self, x):
        mean, log_var = self.encoder(x)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_var)
        logits = self.decoder(z)
        return logits, mean, log_var
