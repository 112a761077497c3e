"""Trains the autoencoder: `python examples/vae/train.py --steps 50`."""

import argparse

import torch
from torch.utils.data import DataLoader

from data import Discs
from model import VAE


def reconstruction_loss(logits, target):
    """Bernoulli negative log likelihood, summed over pixels, averaged over the batch."""
    probability = torch.sigmoid(logits)
    log_likelihood_on = target * torch.log(probability)
    log_likelihood_off = (1 - target) * torch.log(1 - probability)
    return -(log_likelihood_on + log_likelihood_off).sum(dim=1).mean()


def kl_divergence(mean, log_var):
    return -0.5 * (1 + log_var - mean.pow(2) - log_var.exp()).sum(dim=1).mean()


def train(model, loader, optimizer, steps: int) -> None:
    model.train()
    step = 0
    while step < steps:
        for picture, _ in loader:
            step += 1
            optimizer.zero_grad()
            logits, mean, log_var = model(picture)
            loss = reconstruction_loss(logits, picture) + kl_divergence(mean, log_var)
            loss.backward()
            optimizer.step()
            print(f"step {step}  loss {loss.item():.6f}")
            if step == steps:
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    loader = DataLoader(Discs(512), batch_size=args.batch_size, shuffle=True)
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    train(model, loader, optimizer, args.steps)


if __name__ == "__main__":
    main()
