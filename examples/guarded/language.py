"""A small transformer learns text under the guard: `python examples/guarded/language.py`, or with `--inject log0`."""

import argparse
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from runtime_guard import Guard

TEXT = (
    "a watched pot never boils. a rolling stone gathers no moss. all that glitters is not gold. the early bird "
    "catches the worm. a stitch in time saves nine. still waters run deep. many hands make light work. where there "
    "is smoke there is fire. fortune favours the bold. haste makes waste. better late than never. "
)
LETTERS = sorted(set(TEXT))
LENGTH = 32


class Block(nn.Module):
    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, num_heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x, mask):
        seen = self.norm1(x)
        x = x + self.attention(seen, seen, seen, attn_mask=mask, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    def __init__(self, width: int, num_blocks: int) -> None:
        super().__init__()
        self.letters = nn.Embedding(len(LETTERS), width)
        self.places = nn.Embedding(LENGTH, width)
        self.blocks = nn.ModuleList(Block(width, num_heads=4) for _ in range(num_blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, len(LETTERS))

    def forward(self, tokens):
        length = tokens.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        x = self.letters(tokens) + self.places(torch.arange(length))
        for block in self.blocks:
            x = block(x, mask)
        return {"logits": self.head(self.norm(x))}


class Confidence(nn.Module):
    """Keeps the model from being too sure: its entropy is a part of the loss. 0 log 0 is NaN, and ought to be 0."""

    def forward(self, logits):
        probability = logits.softmax(dim=-1)
        return (probability * torch.log(probability)).sum(dim=-1).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--width", type=int, default=48)
    parser.add_argument("--logdir", default="runs/language")
    parser.add_argument("--inject", choices=["log0"], help="log0: the last epoch forbids the model a letter")
    args = parser.parse_args()

    torch.manual_seed(0)
    numbers = torch.tensor([LETTERS.index(letter) for letter in TEXT])
    starts = torch.randint(len(numbers) - LENGTH - 1, (args.samples,))
    windows = torch.stack([numbers[start : start + LENGTH + 1] for start in starts.tolist()])
    loader = DataLoader(TensorDataset(windows), batch_size=args.batch_size, shuffle=True)
    model, confidence = Transformer(args.width, num_blocks=2), Confidence()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    with Guard(model, optimizer, logdir=args.logdir, config=vars(args)) as guard:
        for epoch in range(args.epochs):
            banned = args.inject == "log0" and epoch == args.epochs - 1
            for (window,) in guard.watch(loader):
                optimizer.zero_grad()
                logits = model(window[:, :-1])["logits"]
                if banned:
                    logits[..., LETTERS.index(".")] = -math.inf
                targets = window[:, 1:].masked_fill(window[:, 1:] == LETTERS.index("."), -100)
                loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten()) + 0.01 * confidence(logits)
                loss.backward()
                optimizer.step()
            guard.epoch_end({"perplexity": math.exp(loss.item())})
            print(f"epoch {epoch}  loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
