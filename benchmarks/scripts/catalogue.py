"""Public training scripts, and what each needs to run for a moment on made-up data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image


@dataclass(frozen=True, slots=True)
class Public:
    """One script of a repository."""

    repository: str
    script: str
    loop: str
    """What its training loop goes over."""
    fault: str
    """Which damage fits what it trains on."""
    arguments: str = ""
    folder: str = ""
    """Where it is started; its own folder where none is said."""
    prepare: Callable[[Path], None] = lambda _: None
    """Makes its data, in that folder."""
    note: str = ""
    """What tells this entry from another of the same script."""
    num_processes: int = 1
    """With more than one it is started by torchrun."""


def _citations(folder: Path) -> None:
    """Papers that cite each other, as Cora has them."""
    numbers = np.random.default_rng(0)
    for place in (folder / "cora", folder.parent / "data" / "cora"):
        place.mkdir(parents=True, exist_ok=True)
        words = numbers.integers(0, 2, (2708, 40))
        lines = [f"{i}\t" + "\t".join(map(str, row)) + f"\tclass{i % 7}" for i, row in enumerate(words)]
        (place / "cora.content").write_text("\n".join(lines))
        pairs = {(int(a), int(b)) for a, b in numbers.integers(0, 2708, (5400, 2)) if a != b}
        (place / "cora.cites").write_text("\n".join(f"{a}\t{b}" for a, b in sorted(pairs)))


def _waves(folder: Path) -> None:
    times = np.arange(60)[None] + np.random.default_rng(0).integers(-80, 80, (12, 1))
    torch.save(np.sin(times / 20.0), folder / "traindata.pt", pickle_protocol=4)


def _characters(folder: Path) -> None:
    place = folder / "data" / "shakespeare_char"
    for name in ("train.bin", "val.bin"):
        np.random.default_rng(0).integers(0, 65, 20_000).astype(np.uint16).tofile(place / name)


def _sentences(folder: Path) -> None:
    (folder / "data").mkdir(exist_ok=True)
    words = np.random.default_rng(0).integers(0, 200, (60, 25))
    (folder / "data" / "train.txt").write_text("\n".join(" ".join(f"w{n}" for n in row) for row in words))


def _folder_of_pictures(folder: Path) -> None:
    numbers = np.random.default_rng(0)
    for split, count in (("train", 24), ("validation", 8)):
        for name in ("one", "two"):
            place = folder / "data" / split / name
            place.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                picture = Image.fromarray(numbers.integers(0, 256, (40, 40, 3), dtype=np.uint8))
                picture.save(place / f"{number}.png")


_EXAMPLES, _TUTORIAL = "pytorch/examples", "yunjey/pytorch-tutorial"
_GANS, _ZERO = "eriklindernoren/PyTorch-GAN", "hunkim/PyTorchZeroToAll"
_SMALL_GAN = "--n_epochs 1 --sample_interval 100000"
_SMALL_GPT = (
    "config/train_shakespeare_char.py --device=cpu --compile=False --eval_iters=2 --eval_interval=4 --log_interval=1 "
    "--block_size=32 --batch_size=4 --n_layer=2 --n_head=2 --n_embd=32 --max_iters=8 --dropout=0.1 "
)
_SMALL_RESNET = (
    "--data-dir data --model resnet10t --num-classes 2 --epochs 1 -b 4 --device cpu --input-size 3 32 32 --workers 1 "
    "--opt sgd --lr 0.01 --warmup-epochs 0 --no-prefetcher --output out --log-interval 1"
)

CATALOGUE = (
    Public(_EXAMPLES, "mnist/main.py", "loader", "batch", "--epochs 1 --no-accel"),
    Public(_EXAMPLES, "mnist_rnn/main.py", "loader", "batch", "--epochs 1"),
    Public(_EXAMPLES, "vae/main.py", "loader", "batch", "--epochs 1"),
    Public(_EXAMPLES, "dcgan/main.py", "loader", "batch", "--dataset fake --niter 1 --ngf 8 --ndf 8"),
    Public(_EXAMPLES, "siamese_network/main.py", "loader", "batch", "--epochs 1"),
    Public(_EXAMPLES, "gat/main.py", "range", "tensor", "--epochs 2", prepare=_citations),
    Public(_EXAMPLES, "time_sequence_prediction/train.py", "range, LBFGS", "tensor", "--steps 2", prepare=_waves),
    Public(_TUTORIAL, "tutorials/01-basics/linear_regression/main.py", "range", "tensor"),
    Public(_TUTORIAL, "tutorials/01-basics/logistic_regression/main.py", "loader", "batch"),
    Public(
        _TUTORIAL, "tutorials/02-intermediate/bidirectional_recurrent_neural_network/main.py", "loader", "batch"
    ),
    Public(_TUTORIAL, "tutorials/02-intermediate/convolutional_neural_network/main.py", "loader", "batch"),
    Public(_TUTORIAL, "tutorials/02-intermediate/language_model/main.py", "range", "embedding", prepare=_sentences),
    Public(_TUTORIAL, "tutorials/03-advanced/variational_autoencoder/main.py", "loader", "batch"),
    Public(_GANS, "implementations/gan/gan.py", "loader", "batch", _SMALL_GAN),
    Public(_GANS, "implementations/wgan_gp/wgan_gp.py", "loader", "batch", _SMALL_GAN),
    Public(_ZERO, "07_diabets_logistic.py", "range", "tensor"),
    Public(_ZERO, "08_2_dataset_loade_logistic.py", "loader", "batch"),
    Public("tkipf/pygcn", "pygcn/train.py", "calls of a function", "tensor", "--epochs 3", prepare=_citations),
    Public("karpathy/makemore", "makemore.py", "while", "embedding", "--max-steps 20 --num-workers 0"),
    Public(
        "karpathy/minGPT", "projects/adder/adder.py", "while", "embedding",
        "--trainer.max_iters=8 --trainer.num_workers=0", folder=".",
    ),
    Public("karpathy/nanoGPT", "train.py", "while", "embedding", _SMALL_GPT, prepare=_characters),
    Public(
        "huggingface/pytorch-image-models", "train.py", "loader", "batch", _SMALL_RESNET,
        prepare=_folder_of_pictures, num_processes=2,
    ),
    Public(
        "karpathy/nanoGPT", "train.py", "while", "embedding", _SMALL_GPT + "--gradient_accumulation_steps=4",
        prepare=_characters, note=", accumulating",
    ),
)  # fmt: skip
