"""A pole that drifts."""

import torch


class Drift:
    def __init__(self):
        self.generator = torch.Generator().manual_seed(1)
        self.state = torch.zeros(4)

    def reset(self):
        self.state = torch.rand(4, generator=self.generator) - 0.5
        return self.state, {}

    def step(self, action):
        push = 0.1 if action == 1 else -0.1
        self.state = self.state * 0.9 + push + 0.1 * torch.randn(4, generator=self.generator)
        return self.state, 1.0 - self.state.abs().sum().item(), bool(self.state.abs().max() > 1)
