"""Writes a sequence, step by step, and tells where it looked."""

import torch
from torch import nn

from attention import BahdanauAttention


class AttnDecoderRNN(nn.Module):
    def __init__(self, hidden_size, vocabulary, max_length=4):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden_size)
        self.attention = BahdanauAttention(hidden_size)
        self.gru = nn.GRU(2 * hidden_size, hidden_size, batch_first=True)
        self.out = nn.Linear(hidden_size, vocabulary)
        self.max_length = max_length

    def forward(self, encoder_outputs, encoder_hidden, target_tensor=None):
        decoder_input = torch.zeros(encoder_outputs.size(0), 1, dtype=torch.long)
        decoder_hidden = encoder_hidden
        decoder_outputs = []
        attentions = []
        for i in range(self.max_length):
            step_output, decoder_hidden, attn_weights = self.forward_step(
                decoder_input, decoder_hidden, encoder_outputs
            )
            decoder_outputs.append(step_output)
            attentions.append(attn_weights)
            if target_tensor is not None:
                decoder_input = target_tensor[:, i].unsqueeze(1)
            else:
                decoder_input = step_output.argmax(dim=-1).detach()
        decoder_outputs = torch.cat(decoder_outputs, dim=1).log_softmax(dim=-1)
        attentions = torch.cat(attentions, dim=1)
        return decoder_outputs, decoder_hidden, attentions

    def forward_step(self, input, hidden, encoder_outputs):
        embedded = self.embedding(input)
        context, attn_weights = self.attention(hidden.permute(1, 0, 2), encoder_outputs)
        output, hidden = self.gru(torch.cat((embedded, context), dim=2), hidden)
        return self.out(output), hidden, attn_weights
