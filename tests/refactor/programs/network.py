from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.low = nn.Linear(3, 2)
        self.high = nn.Linear(3, 2)

    def forward(self, x):
        low = self.low(x)
        high = self.high(x)
        return low, high
