import torch

from models import ConditionalEmbedding, ScaledEmbedding


def make_inputs():
    return torch.rand(3, 6), torch.zeros(3, dtype=torch.long)


def test_an_embedding_has_the_dimension_asked_for():
    for kind in (ConditionalEmbedding, ScaledEmbedding):
        assert kind(dim=5).embed(*make_inputs()).shape == (3, 5)


def test_there_is_a_norm_for_each_input():
    *_, norm = ScaledEmbedding()(*make_inputs())
    assert norm.shape == (3, 1)
