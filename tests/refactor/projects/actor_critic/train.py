"""Some episodes."""

import torch

from agent import Agent
from environment import Drift
from policy import Policy


def main():
    torch.manual_seed(0)
    env, agent = Drift(), Agent(Policy())
    losses = []
    for _ in range(5):
        state, _ = env.reset()
        for _ in range(8):
            state, reward, done = env.step(agent.select_action(state))
            agent.model.rewards.append(reward)
            if done:
                break
        losses.append(agent.finish_episode())
        losses.append(agent.model(torch.zeros(4))[1].item())
    return losses, agent.model


if __name__ == "__main__":
    print(main()[0])
