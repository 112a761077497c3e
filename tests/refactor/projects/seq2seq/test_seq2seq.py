import torch

from attention import BahdanauAttention
from decoder import AttnDecoderRNN
from encoder import EncoderRNN


def test_attention_weights_add_up_to_one():
    context, weights = BahdanauAttention(8)(torch.rand(2, 1, 8), torch.rand(2, 5, 8))
    assert torch.allclose(weights.sum(-1), torch.ones(2, 1))
    assert context.shape == (2, 1, 8)


def test_the_decoder_writes_as_many_words_as_it_may():
    result = AttnDecoderRNN(8, 10, max_length=3)(*EncoderRNN(10, 8)(torch.tensor([[1, 2]])))
    words, hidden = result[:2]
    assert words.shape == (1, 3, 10)
    assert hidden.shape == (1, 1, 8)
    assert result[2].shape == (1, 3, 2)
