"""Trains embeddings so that a positive lies nearer than a negative."""

import functools

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

import models
from triplets import Triplets


def build(name="scaled", **options):
    factory = {"plain": models.ConditionalEmbedding, "scaled": functools.partial(models.ScaledEmbedding, dim=4)}
    return factory[name](**options)


class TripletTrainer:
    def __init__(self, network, lr=0.05):
        self.network = network
        self.optimizer = torch.optim.SGD(network.parameters(), lr=lr)

    def step(self, batch):
        anchor, positive, negative, condition = batch
        outputs = [self.network(each, condition) for each in (anchor, positive, negative)]
        embeddings = [output[0] for output in outputs]
        mask_norm = outputs[0][1]
        length = sum(norm.mean() for _, _, norm in outputs)
        loss = F.triplet_margin_loss(*embeddings) + 1e-3 * mask_norm + 1e-3 * length
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def main():
    torch.manual_seed(0)
    network = build(num_inputs=6)
    trainer = TripletTrainer(network)
    loader = DataLoader(Triplets(24), batch_size=6)
    first = next(iter(loader))
    losses = [network.embed(first[0], first[-1]).sum().item()]
    for _ in range(2):
        losses += [trainer.step(batch) for batch in loader]
    return losses, network


if __name__ == "__main__":
    print(main()[0])
