"""Trains the network on weighted samples and keeps the outputs of an epoch."""

import torch
from torch.utils.data import DataLoader, WeightedRandomSampler

from dataset import make_datasets
from networks import MultiTaskNet
from objective import dice, multi_task_loss


def to_device(batch, device):
    return [tensor.to(device) for tensor in batch]


def validate(model, loader):
    model.eval()
    results = []
    with torch.no_grad():
        for batch in loader:
            image, mask, label = to_device(batch, "cpu")
            outputs = model(image)
            results.append(outputs)
            score = dice(outputs, mask)
    masks, _, labels = zip(*results)
    return [score.item(), torch.cat(masks).mean().item(), torch.cat(labels).max().item()]


def main():
    torch.manual_seed(0)
    train_set, valid_set = make_datasets()
    sampler = WeightedRandomSampler([1.0] * len(train_set), len(train_set))
    train_loader = DataLoader(train_set, batch_size=4, sampler=sampler)
    valid_loader = DataLoader(valid_set, batch_size=4)
    model = MultiTaskNet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(2):
        model.train()
        for image, mask, label in train_loader:
            out = model(image)
            loss = multi_task_loss(out, mask, label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        losses.extend(validate(model, valid_loader))
    return losses, model


if __name__ == "__main__":
    print(main()[0])
