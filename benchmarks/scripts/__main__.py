"""Runs a training script bare or under the guard, and prints a digest of what it learnt.

    python -m benchmarks.scripts [--guard] [--fault] train.py ARGUMENTS...

The script stays as it is. The digest is over the parameters of each optimizer, bit by bit, when the script has ended.
With `--fault` the third batch of the first DataLoader's dataset has one NaN.
"""

from __future__ import annotations

import hashlib
import random
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer
from torch.utils.data._utils.fetch import _MapDatasetFetcher

from runtime_guard.__main__ import main as guard_main

FAULTY_BATCH = 3


def main(arguments: list[str]) -> None:
    """Ends as the script does."""
    flags = {word for word in arguments[:2] if word in ("--guard", "--fault")}
    script, *rest = arguments[len(flags) :]
    made = _remember_optimizers()
    if "--fault" in flags:
        _spoil_a_batch()
    torch.set_num_threads(1)
    # Some scripts forget to.
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    try:
        if "--guard" in flags:
            guard_main(["run", "--logdir", "guard-run", script, *rest], standalone_mode=False)
        else:
            sys.argv, sys.path[:0] = [script, *rest], [str(Path(script).absolute().parent)]
            runpy.run_path(script, run_name="__main__")
    finally:
        print(f"digest {_digest(made)} of {len(made)} optimizers")


def _remember_optimizers() -> list[Optimizer]:
    made: list[Optimizer] = []
    init = Optimizer.__init__

    def remembering(self: Optimizer, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        made.append(self)

    Optimizer.__init__ = remembering  # type: ignore[method-assign]
    return made


def _spoil_a_batch() -> None:
    fetch: Callable[[Any, Any], Any] = _MapDatasetFetcher.fetch
    init: Callable[..., None] = torch.utils.data.DataLoader.__init__
    count = 0
    training: list[Any] = []

    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        if not training:
            training.append(self.dataset)

    def spoiling(self: Any, indices: Any) -> Any:
        nonlocal count
        batch = fetch(self, indices)
        if training and self.dataset is training[0]:
            count += 1
            if count == FAULTY_BATCH:
                _first_floating(batch).view(-1)[0] = torch.nan
        return batch

    torch.utils.data.DataLoader.__init__ = remember  # type: ignore[method-assign]
    _MapDatasetFetcher.fetch = spoiling  # type: ignore[method-assign]


def _first_floating(batch: Any) -> torch.Tensor:
    items = batch.values() if isinstance(batch, dict) else [batch] if isinstance(batch, torch.Tensor) else batch
    return next(item for item in items if isinstance(item, torch.Tensor) and item.is_floating_point())


def _digest(made: list[Optimizer]) -> str:
    digest = hashlib.sha256()
    for optimizer in made:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main(sys.argv[1:])
