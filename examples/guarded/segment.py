"""Segments pictures under the guard: `python examples/guarded/segment.py`, with `--inject log0` to see it fail."""

import argparse

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

from runtime_guard import Guard

CLASS_NAMES = ("background", "rectangle", "disc")
SIZE = 32


class Scenes(Dataset):
    """Noisy pictures (1, 32, 32) of a rectangle and a disc, with the class of each pixel (32, 32)."""

    def __init__(self, length: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
        self.masks = torch.zeros(length, SIZE, SIZE, dtype=torch.long)
        for mask in self.masks:
            top, left, row, column = torch.randint(4, SIZE - 10, (4,), generator=generator).tolist()
            mask[top : top + 7, left : left + 9] = 1
            mask[(rows - row - 3) ** 2 + (columns - column - 3) ** 2 < 20] = 2
        noise = 0.4 * torch.randn(length, SIZE, SIZE, generator=generator)
        self.images = (self.masks + noise).unsqueeze(1)

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: int):
        return {"image": self.images[index], "mask": self.masks[index], "index": index}


def block(num_in: int, num_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(num_in, num_out, 3, padding=1), nn.BatchNorm2d(num_out), nn.ReLU())


class UNet(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = block(1, width)
        self.bottom = nn.Sequential(nn.MaxPool2d(2), block(width, 2 * width))
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.head = nn.Sequential(block(2 * width, width), nn.Conv2d(width, len(CLASS_NAMES), 1))

    def forward(self, image):
        skip = self.down(image)
        return {"logits": self.head(torch.cat([skip, self.up(self.bottom(skip))], dim=1))}


class LogDice(nn.Module):
    """The logarithm of the Dice score of each class. A class that nothing in the batch shows has a score of 0."""

    def forward(self, logits, mask):
        probability = logits.softmax(dim=1)
        target = F.one_hot(mask, len(CLASS_NAMES)).permute(0, 3, 1, 2)
        overlap = (probability * target).sum(dim=(0, 2, 3))
        total = (probability + target).sum(dim=(0, 2, 3))
        return -torch.log(2 * overlap / total).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--width", type=int, default=12)
    parser.add_argument("--logdir", default="runs/segment")
    parser.add_argument("--inject", choices=["log0"], help="log0: nobody has drawn a disc in the last batches")
    args = parser.parse_args()

    torch.manual_seed(0)
    train_set = Scenes(args.samples, seed=1)
    if args.inject == "log0":
        annotated = train_set.masks[args.samples // 2 :]
        annotated[annotated == 2] = 0
    train_loader = DataLoader(train_set, batch_size=args.batch_size)
    val_loader = DataLoader(Scenes(args.samples // 4, seed=2), batch_size=args.batch_size)
    model, criterion = UNet(args.width), LogDice()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    with Guard(model, optimizer, logdir=args.logdir, config=vars(args), class_names=CLASS_NAMES) as guard:
        for epoch in range(args.epochs):
            model.train()
            for batch in guard.watch(train_loader):
                optimizer.zero_grad()
                logits = model(batch["image"])["logits"]
                loss = criterion(logits, batch["mask"])
                guard.samples(logits, batch["mask"], inputs=batch["image"], indices=batch["index"])
                loss.backward()
                optimizer.step()
            num_right = 0
            model.eval()
            with torch.no_grad():
                for batch in guard.validate(val_loader):
                    logits = model(batch["image"])["logits"]
                    guard.loss(criterion(logits, batch["mask"]))
                    guard.samples(logits, batch["mask"], inputs=batch["image"], indices=batch["index"])
                    num_right += (logits.argmax(dim=1) == batch["mask"]).sum().item()
            accuracy = num_right / (len(val_loader.dataset) * SIZE * SIZE)
            guard.epoch_end({"pixel_accuracy": accuracy})
            print(f"epoch {epoch}  loss {loss.item():.4f}  pixel accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
