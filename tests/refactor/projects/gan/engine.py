"""One step of each of the two players."""

import torch
import torch.nn.functional as F


def bce(pred, is_real):
    target = torch.ones_like(pred) if is_real else torch.zeros_like(pred)
    return F.binary_cross_entropy_with_logits(pred, target)


def discriminator_step(discriminator, real, fake, optimizer):
    loss = bce(discriminator(real)[0], True) + bce(discriminator(fake.detach())[0], False)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def generator_step(discriminator, real, fake, optimizer):
    validity, fake_features = discriminator(fake)
    (_, real_features) = discriminator(real)
    loss = bce(validity, True) + F.mse_loss(fake_features.mean(0), real_features.mean(0).detach())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
