"""One step of training, and the evaluation."""

import torch
import torch.nn.functional as F
from torch.cuda.amp import GradScaler, autocast


class Trainer:
    """Cross entropy, a bonus for undecided predictions and a small pull of the features towards zero."""

    def __init__(self, model, optimizer, device, entropy_weight: float = 0.01) -> None:
        self.model = model
        self.optimizer = optimizer
        self.device = device
        self.entropy_weight = entropy_weight
        self.use_amp = device.type == "cuda"
        self.scaler = GradScaler(enabled=self.use_amp)

    def loss(self, logits, features, label):
        probability = torch.softmax(logits, dim=-1)
        log_probability = probability.log()
        cross_entropy = F.nll_loss(log_probability, label)
        entropy = -(probability * log_probability).sum(dim=-1).mean()
        return cross_entropy - self.entropy_weight * entropy + 1e-4 * features.pow(2).mean()

    def step(self, point, label) -> float:
        self.model.train()
        self.optimizer.zero_grad()
        with autocast(enabled=self.use_amp):
            logits, features = self.model(point.to(self.device))
            loss = self.loss(logits, features, label.to(self.device))
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.item()

    @torch.no_grad()
    def accuracy(self, loader) -> float:
        self.model.eval()
        correct = total = 0
        for point, label in loader:
            predicted = self.model(point.to(self.device))[0].argmax(dim=-1).cpu()
            correct += (predicted == label).sum().item()
            total += len(label)
        return correct / total
