"""Pictures with a box and a label for each anchor."""

import torch
from torch.utils.data import Dataset

NUM_ANCHORS = 16 + 4


class Boxes(Dataset):
    def __init__(self, length: int) -> None:
        generator = torch.Generator().manual_seed(3)
        self.images = torch.rand(length, 3, 8, 8, generator=generator)
        self.boxes = torch.rand(length, NUM_ANCHORS, 4, generator=generator)
        self.labels = torch.randint(0, 3, (length, NUM_ANCHORS), generator=generator)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], self.boxes[index], self.labels[index]


def collate(samples):
    images, boxes, labels = zip(*samples)
    return {"image": torch.stack(images), "boxes": torch.stack(boxes), "labels": torch.stack(labels)}
