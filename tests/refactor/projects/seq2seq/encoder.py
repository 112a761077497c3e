"""Reads a sequence."""

from torch import nn


class EncoderRNN(nn.Module):
    def __init__(self, vocabulary, hidden_size):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size, batch_first=True)

    def forward(self, tokens):
        output, hidden = self.gru(self.embedding(tokens))
        return output, hidden
