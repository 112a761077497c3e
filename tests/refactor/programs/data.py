from torch.utils.data import Dataset


class Numbers(Dataset):
    def __init__(self, length=6):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if index >= self.length:
            raise IndexError(index)
        value = index * 3
        label = index % 2
        return value, label
