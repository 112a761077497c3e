"""Trains the classifier: `python examples/classifier/train.py --steps 200`."""

import argparse

import torch
from torch.utils.data import DataLoader

from data import NUM_CLASSES, Spirals
from engine import Trainer
from model import Classifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_loader = DataLoader(Spirals(960), batch_size=args.batch_size, shuffle=True)
    valid_loader = DataLoader(Spirals(240, seed=1), batch_size=args.batch_size)
    model = Classifier(NUM_CLASSES).to(device)
    trainer = Trainer(model, torch.optim.Adam(model.parameters(), lr=args.lr), device)
    step = 0
    while step < args.steps:
        for point, label in train_loader:
            step += 1
            print(f"step {step}  loss {trainer.step(point, label):.6f}")
            if step == args.steps:
                break
    print(f"accuracy {trainer.accuracy(valid_loader):.4f}")


if __name__ == "__main__":
    main()
