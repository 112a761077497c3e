"""Classifies pictures under the guard: `python examples/guarded/classify.py`, with `--inject log0` to see it fail."""

import argparse

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

from runtime_guard import Guard

CLASS_NAMES = ("circle", "cross", "square")
SIZE = 32


class Shapes(Dataset):
    """Noisy pictures (3, 32, 32) of one shape each. Some labels are wrong: the worst samples show which."""

    def __init__(self, length: int, seed: int, num_wrong: int = 0, has_black: bool = False) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.randint(len(CLASS_NAMES), (length,), generator=generator)
        self.pictures = torch.rand(length, 3, SIZE, SIZE, generator=generator) * 0.4
        rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
        for picture, label in zip(self.pictures, self.labels.tolist(), strict=True):
            row, column = torch.randint(8, SIZE - 8, (2,), generator=generator)
            down, right = (rows - row).abs(), (columns - column).abs()
            circle, square = down**2 + right**2 <= 36, torch.maximum(down, right) <= 5
            cross = (torch.minimum(down, right) <= 1) & (torch.maximum(down, right) <= 6)
            colour = 0.3 + 0.3 * torch.rand(3, 1, generator=generator)
            picture[:, (circle, cross, square)[label]] += colour
        self.labels[:num_wrong] = (self.labels[:num_wrong] + 1) % len(CLASS_NAMES)
        if has_black:
            self.pictures[length // 2] = 0

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int):
        return {"image": self.pictures[index], "label": self.labels[index], "index": index}


class Exposure(nn.Module):
    """Evens out how bright pictures are, on the scale of the eye. There is no logarithm of a black picture."""

    def forward(self, image):
        brightness = image.mean(dim=(1, 2, 3), keepdim=True)
        return image - 0.1 * torch.log(brightness)


class ShapeNet(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.exposure = Exposure()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(2 * width, len(CLASS_NAMES))

    def forward(self, image):
        features = self.features(self.exposure(image)).mean(dim=(2, 3))
        return {"logits": self.head(features)}


@torch.no_grad()
def validate(model, guard, loader) -> float:
    model.eval()
    num_right = 0
    for batch in guard.validate(loader):
        logits = model(batch["image"])["logits"]
        guard.loss(F.cross_entropy(logits, batch["label"]))
        guard.samples(logits, batch["label"], inputs=batch["image"], indices=batch["index"])
        num_right += (logits.argmax(dim=1) == batch["label"]).sum().item()
    return num_right / len(loader.dataset)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--samples", type=int, default=640)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--logdir", default="runs/classify")
    parser.add_argument("--inject", choices=["log0"], help="log0: a black picture among the training data")
    args = parser.parse_args()

    torch.manual_seed(0)
    train_set = Shapes(args.samples, seed=1, num_wrong=3, has_black=args.inject == "log0")
    train_loader = DataLoader(train_set, batch_size=args.batch_size, shuffle=True)
    val_loader = DataLoader(Shapes(args.samples // 4, seed=2), batch_size=args.batch_size)
    model = ShapeNet(args.width)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    with Guard(model, optimizer, logdir=args.logdir, config=vars(args), class_names=CLASS_NAMES) as guard:
        for epoch in range(args.epochs):
            model.train()
            for batch in guard.watch(train_loader):
                optimizer.zero_grad()
                logits = model(batch["image"])["logits"]
                loss = F.cross_entropy(logits, batch["label"])
                guard.samples(logits, batch["label"], inputs=batch["image"], indices=batch["index"])
                loss.backward()
                optimizer.step()
            accuracy = validate(model, guard, val_loader)
            guard.epoch_end({"accuracy": accuracy})
            print(f"epoch {epoch}  loss {loss.item():.4f}  accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
