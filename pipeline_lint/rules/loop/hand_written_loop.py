"""TRN410: a loop over epochs and batches that a framework would write, with what it lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.loops.hand_written import HandWritten, hand_written
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_FEATURES = {
    "checkpoints": re.compile(r"torch\.save|save_file|save_checkpoint|\.save\("),
    "resuming": re.compile(r"load_state_dict|resume|load_checkpoint"),
    "several GPUs": re.compile(r"DataParallel|\bDDP\b|FSDP|torch\.distributed|fully_shard"),
    "mixed precision": re.compile(r"autocast|bfloat16|\.half\(\)|\bamp\b"),
    "metrics": re.compile(r"accuracy|metric|\bacc\b|f1|\bauc\b|\biou\b|dice|correct|recall|precision", re.IGNORECASE),
}


class HandWrittenLoop(Rule):
    """A loop over epochs and batches is written by hand, and lacks what a framework would bring.

    Checkpoints, resuming after a crash, several GPUs, mixed precision and metrics are some hundred lines that every
    project writes again, and each of them has its own way to go wrong silently. Lightning, Ignite, Accelerate, fastai
    and the Trainer of transformers have them tested by many; what stays to be written is the model and its loss.

    Bad:
        def train(model, optimizer, loader, loss_function, num_epochs):
            for epoch in range(num_epochs):
                for x, target in loader:
                    optimizer.zero_grad()
                    loss = loss_function(model(x), target)
                    loss.backward()
                    optimizer.step()
    Good:
        import lightning

        class Classifier(lightning.LightningModule):
            def training_step(self, batch, batch_idx):
                return self.loss(self.model(batch["image"]), batch["target"])
    Exempt: files that use such a framework; loops over batches alone; loops that lack none of these; tests. The rule is
        off by default: a loop of one's own is right where the training is the research.
    Fix: None: a loop is not rewritten for a framework without decisions that only you can take.
    Source: "Efficient PyTorch: Supercharging the Training Pipeline" (E. Khvedchenya, 2020), on high-level frameworks.
    """

    code = "TRN410"
    is_default = False
    triggers = ("backward(",)

    def check(self, source: Source) -> Iterator[Finding]:
        """Every loop over epochs around a loop over batches, with what the file has no word of."""
        lacking = [name for name, words in _FEATURES.items() if not words.search(source.text)]
        if lacking:
            yield from (_found(loop, lacking) for loop in hand_written(source) if loop.root is not loop.batches)


def _found(loop: HandWritten, lacking: list[str]) -> Finding:
    what = f"{', '.join(lacking[:-1])} and {lacking[-1]}" if len(lacking) > 1 else lacking[0]
    root = loop.root
    return Finding(
        at=root.iter if isinstance(root, cst.For) else root.test,
        message=f"the training loop is written by hand, without {what}; Lightning, Ignite, Accelerate or fastai "
        "bring them",
        confidence=Confidence.LIKELY,
    )
