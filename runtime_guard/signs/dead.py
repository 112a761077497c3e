"""Units that never fire."""

from __future__ import annotations

from collections.abc import Iterator

from runtime_guard.sign import Reading

_LOOKS = 3
_SHARE = 0.9


class Dead:
    """Rectified units that are 0 for every sample, and so get no gradient any more.

    Nine of ten units of a layer over three looks. Seen at `nn.ReLU` and its like, and at the inputs of linear and
    convolution layers where the rectifier is a function.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def look(self, reading: Reading) -> Iterator[tuple[str, str]]:
        for activation in reading.activations:
            if activation.kind not in ("rectifier", "input"):
                continue
            is_dead = activation.dead_share >= _SHARE
            count = self.counts[activation.name] = self.counts.get(activation.name, 0) + 1 if is_dead else 0
            if count >= _LOOKS:
                text = (
                    f"{activation.dead_share:.0%} of the units of `{activation.name}` are 0 for every sample: lower "
                    "the learning rate, look at the biases, or use a leaky rectifier"
                )
                yield activation.name, text
