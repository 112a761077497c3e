"""Activations at the flat ends."""

from __future__ import annotations

from collections.abc import Iterator

from runtime_guard.sign import Reading

_LOOKS = 3
_SHARE = 0.9
_KINDS = ("sigmoid", "tanh", "softmax", "input")


class Saturated:
    """Sigmoid, tanh or softmax at their flat ends, where hardly any gradient passes.

    Nine of ten elements over three looks, in the midst of the model: what nothing follows may be sure of itself.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def look(self, reading: Reading) -> Iterator[tuple[str, str]]:
        for index, activation in enumerate(reading.activations):
            if activation.kind not in _KINDS or index == len(reading.activations) - 1:
                continue
            is_flat = activation.saturated_share >= _SHARE
            count = self.counts[activation.name] = self.counts.get(activation.name, 0) + 1 if is_flat else 0
            if count >= _LOOKS:
                text = (
                    f"{activation.saturated_share:.0%} of `{activation.name}` are at the flat ends of the function: "
                    "normalise what comes in, or make the weights before it smaller"
                )
                yield activation.name, text
