"""Trains the detector, wrapped for several devices."""

import copy

import torch
from torch.utils.data import DataLoader

from dataset import Boxes, collate
from detection import build_detector
from detection.losses import DetectionLoss


def main():
    torch.manual_seed(0)
    model = torch.nn.DataParallel(build_detector("retinanet", num_classes=3))
    ema = copy.deepcopy(model)
    criterion = DetectionLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(Boxes(16), batch_size=4, shuffle=True, collate_fn=collate)
    losses = []
    for _ in range(2):
        for batch in loader:
            predictions = model(batch["image"])
            loss = criterion(predictions, (batch["boxes"], batch["labels"]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            with torch.no_grad():
                for averaged, current in zip(ema.parameters(), model.parameters()):
                    averaged.mul_(0.9).add_(current, alpha=0.1)
                _, scores = ema.module(batch["image"])
                losses.append(scores.softmax(dim=-1).max().item())
    return losses, ema


if __name__ == "__main__":
    print(main()[0])
