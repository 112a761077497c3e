"""Code with known findings, shared by the tests of the command line."""

BAD = """\
import torch
import torch.nn.functional as F


def loss_of(x):
    p = torch.sigmoid(x)
    return -torch.log(p)
"""

FIXED = """\
import torch
import torch.nn.functional as F


def loss_of(x):
    return -F.logsigmoid(x)
"""

CLEAN = """\
import torch


def twice(x):
    return torch.add(x, x)
"""
