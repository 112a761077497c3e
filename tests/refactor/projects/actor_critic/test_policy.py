import torch

from policy import Policy


def test_probabilities_add_up_to_one():
    assert Policy()(torch.zeros(4))[0].sum().isclose(torch.tensor(1.0))


def test_a_state_has_one_value():
    _, value = Policy()(torch.zeros(4))
    assert value.shape == (1,)
