"""TRN411: workers of a data loader that draw the same random numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Edit, Fix
from pipeline_lint.edits import insert_before, replace, unsafe_fix
from pipeline_lint.facts.code.names import Names, Reference
from pipeline_lint.facts.guarding import with_keyword
from pipeline_lint.facts.loading.generators import OwnGenerator, own_generators, reached
from pipeline_lint.facts.loading.loaders import Loader, Loaders
from pipeline_lint.facts.loading.worker_seeds import RepeatedSeed, repeated_seeds
from pipeline_lint.facts.trained_code import is_test_code
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_SEEDING_WORDS = ("get_worker_info", "initial_seed", "worker_init_fn", "pl_worker_init_function")
_FUNCTION = "seed_worker"
_GIVEN_SEED = {
    "numpy.random.default_rng": "(info.seed)",
    "numpy.random.RandomState": "(info.seed % 2**32)",
    "random.Random": "(info.seed)",
    "torch.Generator": "().manual_seed(info.seed)",
}
_GLOBAL_DRAW = re.compile(r"numpy\.random\.[a-z_]+")


class WorkerSeed(Rule):
    """The workers of a data loader draw the same random numbers, or the same ones in every epoch.

    A worker begins with a copy of the dataset. A generator that the dataset or one of its transforms made in `__init__`
    is copied with its state: all workers draw the same numbers, so that with eight of them eight samples in a row get
    the same augmentation, and, since workers are started anew for each epoch, every epoch repeats the first. Training
    runs on, on a fraction of the variety that it was meant to see, and nothing says so. A `worker_init_fn` that seeds
    with a constant does the same to the global generators, and one that seeds with the worker's number alone makes
    every epoch repeat the first.

    torch gives each worker, in each epoch, a seed of its own: `torch.initial_seed()`, or `get_worker_info().seed`. It
    seeds its own generator and `random` with it, since version 1.9 also numpy's global one, so that these need nothing.

    Bad:
        import numpy as np
        import torch
        from torch.utils.data import DataLoader, Dataset

        class Noisy(Dataset):
            def __init__(self, clean):
                self.clean = clean
                self.rng = np.random.default_rng(0)

            def __len__(self):
                return len(self.clean)

            def __getitem__(self, index):
                return self.clean[index] + self.rng.normal()

        def load(clean):
            return DataLoader(Noisy(clean), batch_size=2, num_workers=2)
    Good:
        import numpy as np
        import torch
        from torch.utils.data import DataLoader, Dataset

        class Noisy(Dataset):
            def __init__(self, clean):
                self.clean = clean
                self.rng = np.random.default_rng(0)

            def __len__(self):
                return len(self.clean)

            def __getitem__(self, index):
                return self.clean[index] + self.rng.normal()

        def seed_worker(worker_id):
            info = torch.utils.data.get_worker_info()
            info.dataset.rng = np.random.default_rng(info.seed)

        def load(clean):
            return DataLoader(Noisy(clean), batch_size=2, num_workers=2, worker_init_fn=seed_worker)
    Exempt: generators that are seeded again where they are used, or that another method replaces; files that ask for
        the worker's seed; iterable datasets, whose workers have to agree on an order; loaders without workers, or with
        `persistent_workers` where only epochs would repeat; tests. numpy's global generator in `__getitem__` is a
        possible finding, for torch before 1.9.
    Fix: Unsafe, because other random numbers are drawn: a `worker_init_fn` that makes the dataset's generator anew from
        the worker's seed, where the loader is in the file; the worker's seed in place of the constant one.
    Source: https://docs.pytorch.org/docs/stable/data.html#data-loading-randomness; measured with torch 2.13: two
        workers, each drawing the numbers that the other draws, in both of two epochs.
    """

    code = "TRN411"
    triggers = ("Random", "default_rng", "torch.Generator", "worker_init_fn", "np.random", "numpy.random")

    def check(self, source: Source) -> Iterator[Finding]:
        """Generators that workers share, seeds that repeat, and numpy's global generator."""
        if is_test_code(source):
            return
        yield from (_repeated(source, seed) for seed in repeated_seeds(source))
        if any(word in source.text for word in _SEEDING_WORDS):
            return
        copied = (_copied(source, generator) for generator in own_generators(source))
        from_all = (_global(source, loader) for loader in source.fact(Loaders).all)
        yield from (found for found in (*copied, *from_all) if found is not None)


def _copied(source: Source, generator: OwnGenerator) -> Finding | None:
    """What is wrong with a generator of a class; None where the file shows that its loaders have no workers."""
    loaders = source.fact(Loaders)
    own = [each for each in loaders.all if loaders.dataset_class(each) is generator.owner]
    numbers = [each.num_workers for each in own]
    if own and not any(number is None or number > 0 for number in numbers):
        return None
    name = f"self.{generator.name}" if generator.is_attribute else generator.name
    return Finding(
        at=generator.use,
        message=f"`{name}` is made once, and every worker of a `DataLoader` gets a copy of it: all draw the same "
        "numbers, in every epoch; make it from `get_worker_info().seed` in a `worker_init_fn`",
        confidence=Confidence.CERTAIN if any(numbers) else Confidence.LIKELY,
        fix=lambda: _fix_copied(source, generator, own),
        related=((source.place(generator.made_by), "made here"),),
    )


def _fix_copied(source: Source, generator: OwnGenerator, loaders: list[Loader]) -> Fix | None:
    others = [each for each in own_generators(source) if each.owner is generator.owner and each.name != generator.name]
    is_plain = not any(each.args for each in [generator.made_by]) or generator.path != "torch.Generator"
    if len(loaders) != 1 or others or not generator.is_attribute or not is_plain:
        return None
    constructor = _written_again(source, generator.made_by.func, generator.path, at=loaders[0].call)
    lines = [f"info.dataset.{generator.name} = {constructor.code}{_GIVEN_SEED[generator.path]}"]
    return _with_worker_function(source, loaders[0], lines, constructor.edits, needs_info=True)


def _with_worker_function(
    source: Source, loader: Loader, lines: list[str], imports: tuple[Edit, ...], *, needs_info: bool
) -> Fix | None:
    """The fix that adds a function for workers before the statement of the file that holds the loader."""
    names = source.fact(Names)
    top = _top_statement(source, loader.call)
    if top is None or not loader.is_plain or not names.is_free(_FUNCTION):
        return None
    if needs_info:
        info = names.reference("torch.utils.data.get_worker_info", at=loader.call)
        lines, imports = [f"info = {info.code}()", *lines], (*info.edits, *imports)
    body = "\n".join(f"{source.module.default_indent}{line}" for line in lines)
    return unsafe_fix(
        "Seed the workers in a `worker_init_fn`",
        *dict.fromkeys(imports),
        insert_before(source, top, f"def {_FUNCTION}(worker_id):\n{body}\n\n"),
        with_keyword(source, loader.call, f"worker_init_fn={_FUNCTION}"),
    )


def _top_statement(source: Source, node: cst.CSTNode) -> cst.CSTNode | None:
    below = node
    for above in source.ancestors(node):
        if isinstance(above, cst.Module):
            return below
        below = above
    return None


def _repeated(source: Source, seed: RepeatedSeed) -> Finding:
    call = seed.calls[0]
    what = (
        "seeds a worker with the same number in every epoch, so that all epochs draw what the first drew"
        if seed.is_of_worker
        else "seeds all workers with the same number, so that all draw the same"
    )
    return Finding(
        at=call,
        message=f"`{source.code(call)}` {what}; derive it from `torch.initial_seed()`, which torch gives each worker "
        "anew",
        confidence=Confidence.LIKELY if seed.is_of_worker else Confidence.CERTAIN,
        fix=lambda: _fix_repeated(source, seed),
    )


def _fix_repeated(source: Source, seed: RepeatedSeed) -> Fix:
    names = source.fact(Names)
    edits: list[Edit] = []
    for call in seed.calls:
        initial = names.reference("torch.initial_seed", at=call)
        bound = " % 2**32" if names.resolve(call.func) == "numpy.random.seed" else ""
        edits += [*initial.edits, replace(source, call.args[0].value, f"{initial.code}(){bound}")]
    return unsafe_fix("Derive the seed from torch's", *dict.fromkeys(edits))


def _global(source: Source, loader: Loader) -> Finding | None:
    """The first draw from numpy's global generator in the samples of a loader with workers."""
    loaders, names = source.fact(Loaders), source.fact(Names)
    view = loaders.dataset_class(loader)
    if view is None or loader.num_workers == 0 or "__getitem__" not in view.methods:
        return None
    methods = list(reached(source, view, view.methods["__getitem__"]))
    draws = (
        call
        for call in source.nodes(cst.Call)
        if _GLOBAL_DRAW.fullmatch(names.resolve(call.func) or "") and source.function_of(call) in methods
    )
    draw = next(draws, None)
    if draw is None:
        return None
    return Finding(
        at=draw,
        message=f"`{source.code(draw.func)}` draws from numpy's global generator, which torch before 1.9 does not "
        "seed: all workers draw the same numbers there; seed it in a `worker_init_fn`",
        confidence=Confidence.POSSIBLE,
        fix=lambda: _fix_global(source, loader, draw),
    )


def _fix_global(source: Source, loader: Loader, draw: cst.Call) -> Fix | None:
    if not isinstance(draw.func, cst.Attribute):
        return None
    module = _written_again(source, draw.func.value, "numpy.random", at=loader.call)
    initial = source.fact(Names).reference("torch.initial_seed", at=loader.call)
    line = f"{module.code}.seed({initial.code}() % 2**32)"
    return _with_worker_function(source, loader, [line], (*module.edits, *initial.edits), needs_info=False)


def _written_again(source: Source, node: cst.BaseExpression, path: str, *, at: cst.CSTNode) -> Reference:
    """What an expression names, as it is written where that means the same at `at`."""
    names, root = source.fact(Names), node
    while isinstance(root, cst.Attribute):
        root = root.value
    if isinstance(root, cst.Name) and names.lookup(root.value, at) == names.lookup(root.value, node):
        return Reference(source.code(node))
    return names.reference(path, at=at)
