"""Black and white pictures of one to three discs."""

import torch
from torch.utils.data import Dataset

SIZE = 16


class Discs(Dataset):
    """Pictures of shape (256,) with values 0 and 1, and the number of discs in each."""

    def __init__(self, length: int, seed: int = 0) -> None:
        self.length = length
        self.seed = seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int):
        generator = torch.Generator().manual_seed(self.seed * 100_003 + index)
        rows = torch.arange(SIZE).view(-1, 1)
        columns = torch.arange(SIZE).view(1, -1)
        count = int(torch.randint(1, 4, (1,), generator=generator))
        picture = torch.zeros(SIZE, SIZE)
        for _ in range(count):
            row, column = torch.randint(2, SIZE - 2, (2,), generator=generator).tolist()
            radius = int(torch.randint(2, 5, (1,), generator=generator))
            picture[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = 1
        return picture.flatten(), count
