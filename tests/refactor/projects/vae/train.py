"""Trains the autoencoder and draws samples of it."""

import torch
from torch.utils.data import DataLoader, random_split

from data import Squares
from losses import loss_function
from model import VAE


def train(model, loader, optimizer, losses):
    model.train()
    for batch_index, (data, _) in enumerate(loader):
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(data)
        loss = loss_function(recon_batch, data, mu, logvar)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())


@torch.no_grad()
def test(model, loader) -> float:
    model.eval()
    total = 0.0
    for i, (data, _) in enumerate(loader):
        recon_batch, mu, logvar = model(data)
        total += loss_function(recon_batch, data, mu, logvar).item()
        if i == 0:
            print(f"first picture {model(data)[0][0].sigmoid().mean():.4f}")
    return total


def main():
    torch.manual_seed(0)
    train_set, test_set = random_split(Squares(40), [32, 8])
    train_loader = DataLoader(train_set, batch_size=8, shuffle=True)
    test_loader = DataLoader(test_set, batch_size=4)
    model = VAE(36)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(2):
        train(model, train_loader, optimizer, losses)
        losses.append(test(model, test_loader))
    return losses, model


if __name__ == "__main__":
    print(main()[0])
