"""One network for the actor and the critic."""

import torch.nn.functional as F
from torch import nn


class Policy(nn.Module):
    """Acts and judges."""

    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(4, 16)
        self.action_head = nn.Linear(16, 2)
        self.value_head = nn.Linear(16, 1)
        self.saved_actions = []
        self.rewards = []

    def forward(self, x):
        """Gives the probability of each action and the value of the state."""
        x = F.relu(self.affine1(x))
        action_prob = F.softmax(self.action_head(x), dim=-1)
        state_values = self.value_head(x)

        # 1. a list with the probability of each action over the action space
        # 2. the value from state s_t
        return action_prob, state_values
