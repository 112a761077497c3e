"""Trains encoder and decoder together."""

import torch
from torch import nn

from corpus import get_dataloader
from decoder import AttnDecoderRNN
from encoder import EncoderRNN


def train_epoch(dataloader, encoder, decoder, optimizers, criterion):
    losses = []
    for data in dataloader:
        input_tensor, target_tensor = data
        for optimizer in optimizers:
            optimizer.zero_grad()
        encoder_outputs, encoder_hidden = encoder(input_tensor)
        decoder_outputs, _, _ = decoder(encoder_outputs, encoder_hidden, target_tensor)
        loss = criterion(decoder_outputs.view(-1, decoder_outputs.size(-1)), target_tensor.view(-1))
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    return losses


def evaluate(encoder, decoder, sequence):
    with torch.no_grad():
        decoder_outputs, decoder_hidden, attention = decoder(*encoder(sequence))
        return decoder_outputs.argmax(dim=-1), attention


def main():
    torch.manual_seed(0)
    encoder = EncoderRNN(10, 8)
    decoder = AttnDecoderRNN(8, 10)
    optimizers = [torch.optim.Adam(each.parameters(), lr=1e-2) for each in (encoder, decoder)]
    dataloader = get_dataloader(8)
    losses = []
    for _ in range(2):
        losses += train_epoch(dataloader, encoder, decoder, optimizers, nn.NLLLoss())
    words, attention = evaluate(encoder, decoder, torch.tensor([[1, 2, 3, 4]]))
    losses += words.flatten().tolist() + attention.flatten().tolist()
    return losses, nn.ModuleList([encoder, decoder])


if __name__ == "__main__":
    print(main()[0])
