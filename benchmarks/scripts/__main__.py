"""Runs a training script bare or under the guard, and prints a digest of what it learnt.

    python -m benchmarks.scripts [--guard] [--fault batch|tensor|embedding] train.py ARGUMENTS...

The script stays as it is. The digest is over the parameters of each optimizer, bit by bit, when the script has ended.
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
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from benchmarks.scripts.damage import DAMAGES
from benchmarks.scripts.pictures import replace_datasets
from runtime_guard.__main__ import main as guard_main


def main(arguments: list[str]) -> None:
    """Ends as the script does."""
    is_guarded = arguments[:1] == ["--guard"]
    arguments = arguments[is_guarded:]
    replace_datasets()
    _let_ddp_train_on_cpus()
    if arguments[:1] == ["--fault"]:
        DAMAGES[arguments[1]]()
        arguments = arguments[2:]
    script, *rest = arguments
    made = _remember_optimizers()
    torch.set_num_threads(1)
    # Some scripts forget to.
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    try:
        if is_guarded:
            guard_main(["run", "--logdir", "guard-run", script, *rest], standalone_mode=False)
        else:
            sys.argv, sys.path[:0] = [script, *rest], [str(Path(script).absolute().parent)]
            runpy.run_path(script, run_name="__main__")
    finally:
        print(f"digest {_digest(made)} of {len(made)} optimizers")


def _let_ddp_train_on_cpus() -> None:
    """Scripts give it the device, which it refuses where that is no GPU."""
    init: Callable[..., None] = DistributedDataParallel.__init__

    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("device_ids", None)
        init(self, *args, **kwargs)

    DistributedDataParallel.__init__ = wrapped  # type: ignore[method-assign]


def _remember_optimizers() -> list[Optimizer]:
    made: list[Optimizer] = []
    init = Optimizer.__init__

    def remembering(self: Optimizer, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        made.append(self)

    Optimizer.__init__ = remembering  # type: ignore[method-assign]
    return made


def _digest(made: list[Optimizer]) -> str:
    digest = hashlib.sha256()
    for optimizer in made:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main(sys.argv[1:])
