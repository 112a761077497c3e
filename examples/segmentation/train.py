"""Trains the segmentation network: `python examples/segmentation/train.py --steps 50`."""

import argparse

import torch
from torch.utils.data import DataLoader

from data import NUM_CLASSES, Shapes
from losses import WeightedCrossEntropy, dice_loss
from model import SegmentationNet

torch.autograd.set_detect_anomaly(True)


def train_epoch(model, loader, optimizer, scaler, device, step: int, last_step: int) -> int:
    criterion = WeightedCrossEntropy()
    model.train()
    for image, mask, weight in loader:
        step += 1
        image, mask, weight = image.to(device), mask.to(device), weight.to(device)
        optimizer.zero_grad()
        with torch.cuda.amp.autocast(enabled=device.type == "cuda"):
            logits, aux_logits = model(image, with_aux=True)
            loss = criterion(logits, mask, weight) + dice_loss(logits, mask)
            loss = loss + 0.4 * criterion(aux_logits, mask, weight)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        print(f"step {step}  loss {loss.item():.6f}")
        if step == last_step:
            break
    return step


@torch.no_grad()
def accuracy(model, loader, device) -> float:
    model.eval()
    correct = total = 0
    for image, mask, _ in loader:
        predicted = model(image.to(device)).argmax(dim=1).cpu()
        correct += (predicted == mask).sum().item()
        total += mask.numel()
    return correct / total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_loader = DataLoader(Shapes(256), batch_size=args.batch_size, shuffle=True)
    valid_loader = DataLoader(Shapes(32, seed=1), batch_size=args.batch_size)
    model = SegmentationNet(NUM_CLASSES).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    scaler = torch.cuda.amp.GradScaler(enabled=device.type == "cuda")
    step = 0
    while step < args.steps:
        step = train_epoch(model, train_loader, optimizer, scaler, device, step, args.steps)
    print(f"accuracy {accuracy(model, valid_loader, device):.4f}")


if __name__ == "__main__":
    main()
