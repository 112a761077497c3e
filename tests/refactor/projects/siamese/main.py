"""Trains and evaluates the siamese network."""

import torch
from torch.utils.data import DataLoader

from pairs.data import PairDataset, Points
from pairs.network import ContrastiveLoss, SiameseNetwork


def train(model, device, train_loader, optimizer, criterion):
    model.train()
    losses = []
    for batch_idx, (images_1, images_2, targets) in enumerate(train_loader):
        images_1, images_2, targets = images_1.to(device), images_2.to(device), targets.to(device)
        optimizer.zero_grad()
        outputs = model(images_1, images_2)
        loss = criterion(*outputs, targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test(model, device, loader, criterion):
    model.eval()
    total = 0
    with torch.no_grad():
        for images_1, images_2, targets in loader:
            total += criterion(*model(images_1, images_2), targets).item()
    return total


def main():
    torch.manual_seed(0)
    device = torch.device("cpu")
    train_loader = DataLoader(PairDataset(Points(32)), batch_size=8, shuffle=True)
    test_loader = DataLoader(PairDataset(Points(16), seed=1), batch_size=8)
    model = SiameseNetwork().to(device)
    criterion = ContrastiveLoss()
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    losses = []
    for _ in range(2):
        losses += train(model, device, train_loader, optimizer, criterion)
        losses.append(test(model, device, test_loader, criterion))
    return losses, model


if __name__ == "__main__":
    print(main()[0])
