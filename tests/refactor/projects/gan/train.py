"""Trains both players in turn; the discriminator is compiled where asked for."""

import argparse

import torch
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, TensorDataset

from engine import discriminator_step, generator_step
from networks import Discriminator, Generator


def build(args):
    generator, discriminator = Generator(), Discriminator()
    if args.compile:
        discriminator = torch.compile(discriminator)
    return generator, discriminator


def main(argv=()):
    parser = argparse.ArgumentParser()
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args(list(argv))
    torch.manual_seed(0)
    generator, discriminator = build(args)
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=1e-2)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=1e-2)
    averaged = AveragedModel(discriminator)
    losses = []
    for (real,) in DataLoader(TensorDataset(torch.rand(32, 8)), batch_size=8, shuffle=True):
        fake = generator(torch.randn(len(real), 4))
        losses.append(discriminator_step(discriminator, real, fake, optimizer_d))
        losses.append(generator_step(discriminator, real, fake, optimizer_g))
        averaged.update_parameters(discriminator)
        validity = averaged(fake.detach())[0]
        losses.append(validity.mean().item())
    return losses, averaged


if __name__ == "__main__":
    print(main()[0])
