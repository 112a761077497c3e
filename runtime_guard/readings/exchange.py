"""Brings the readings of all ranks to the first one, past the training's own communication."""

from __future__ import annotations

import json
import time
from collections import defaultdict

from torch.distributed import distributed_c10d

from runtime_guard import ranks
from runtime_guard.readings.parcel import Numbers

_BATCH = 16
_PATIENCE_S = 10.0


class Exchange:
    """Every rank leaves its numbers in the store in which the processes found each other; the first rank collects them.

    There is no collective in it, so that nothing can hang or get out of order when a rank ends its epochs elsewhere,
    or dies. What does not come within ten seconds after the end is done without.
    """

    def __init__(self, number: int) -> None:
        """`number` tells the guards of a process apart."""
        store = distributed_c10d._get_default_store()
        self._store = distributed_c10d.PrefixStore(f"runtime_guard/{number}", store)
        self.is_first = ranks.rank() == 0
        self._num_sent = 0
        self._unsent: list[tuple[str, Numbers]] = []
        self._num_collected = dict.fromkeys(range(1, ranks.num_ranks()), 0)
        self._found: defaultdict[str, dict[int, Numbers]] = defaultdict(dict)
        """By label and rank."""

    def send(self, label: str, numbers: Numbers, *, at_once: bool) -> None:
        """On all ranks but the first."""
        self._unsent.append((label, numbers))
        if at_once or len(self._unsent) >= _BATCH:
            self._store.set(f"{ranks.rank()}/{self._num_sent}", json.dumps(self._unsent))
            self._num_sent += 1
            self._unsent = []

    def leave(self) -> None:
        """On all ranks but the first: nothing stays behind, and nothing more comes."""
        if self._unsent:
            self.send(*self._unsent.pop(), at_once=True)
        self._store.set(f"{ranks.rank()}/left", "")

    def collect(self) -> None:
        """On the first rank: takes what is there. Never waits for another rank."""
        for rank in list(self._num_collected):
            # Asked first: what a rank sent before it left is there when it has.
            has_left = self._store.check([f"{rank}/left"])
            while self._store.check([key := f"{rank}/{self._num_collected[rank]}"]):
                for label, numbers in json.loads(self._store.get(key)):
                    self._found[label][rank] = numbers
                self._store.delete_key(key)
                self._num_collected[rank] += 1
            if has_left:
                del self._num_collected[rank]

    def is_complete(self, label: str) -> bool:
        """Whether the numbers of all other ranks that are still there have been collected."""
        return self._num_collected.keys() <= self._found[label].keys()

    def wait_for(self, labels: list[str]) -> None:
        """Collects until they are complete, or patience ends."""
        end = time.monotonic() + _PATIENCE_S
        while True:
            self.collect()
            if all(map(self.is_complete, labels)) or time.monotonic() > end:
                return
            time.sleep(0.01)

    def taken(self, label: str) -> list[Numbers]:
        """What the other ranks sent under this label; it is forgotten here."""
        return list(self._found.pop(label, {}).values())
