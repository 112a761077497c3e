"""TRN412: a GPU that waits for data, or is waited for."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import replace, unsafe_fix
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.guarding import with_keyword
from pipeline_lint.facts.loading.fed_loops import FedLoop, fed_loops, first_wait, works_for_samples
from pipeline_lint.facts.loading.loaders import Loader
from pipeline_lint.facts.trained_code import is_test_code
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_NUM_WORKERS = 4


class SlowLoader(Rule):
    """A GPU waits for samples that one process loads, copies memory that is not pinned, or is waited for in each step.

    Without workers the training process reads, decodes and transforms every sample itself, and the GPU does nothing
    meanwhile: of a step, loading is often the longer part. Workers do it beside the step. A copy to the GPU from memory
    that is not pinned goes through a buffer and blocks, and `non_blocking=True` changes nothing about it. A `.item()`
    or `.cpu()` in the step makes the program wait until the GPU has done all that was asked of it, so that it has
    nothing to do while the next step is prepared.

    Bad:
        from PIL import Image
        from torch.utils.data import DataLoader, Dataset

        class Pictures(Dataset):
            def __init__(self, paths, transform):
                self.paths = paths
                self.transform = transform

            def __len__(self):
                return len(self.paths)

            def __getitem__(self, index):
                return self.transform(Image.open(self.paths[index]))

        def train(model, optimizer, paths, transform):
            loader = DataLoader(Pictures(paths, transform), batch_size=32, shuffle=True)
            for x in loader:
                loss = model(x.cuda()).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    Good:
        import torch
        from PIL import Image
        from torch.utils.data import DataLoader, Dataset

        class Pictures(Dataset):
            def __init__(self, paths, transform):
                self.paths = paths
                self.transform = transform

            def __len__(self):
                return len(self.paths)

            def __getitem__(self, index):
                return self.transform(Image.open(self.paths[index]))

        def train(model, optimizer, paths, transform):
            loader = DataLoader(
                Pictures(paths, transform), batch_size=32, shuffle=True,
                num_workers=4, pin_memory=torch.cuda.is_available(),
            )
            for x in loader:
                loss = model(x.cuda(non_blocking=True)).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    Exempt: numbers of workers that are no literal, loaders that are given `**settings`; tensors in memory
        (`TensorDataset`); loops that move nothing to a GPU; tests. Where the file does not show what the dataset does
        for a sample, where only pinning lacks, and for what waits in each step, findings are possible ones, because
        small models do not mind.
    Fix: Unsafe, because workers are processes that take memory and need a dataset that can be pickled: four of them,
        and pinned memory where there is a GPU. There is none at the top of a script, which workers would run again
        where processes are not forked, nor for what waits.
    Source: https://docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html, on asynchronous loading and on
        synchronization.
    """

    code = "TRN412"
    triggers = ("backward(",)

    def check(self, source: Source) -> Iterator[Finding]:
        """Loaders of training loops without workers or pinned memory, and what waits in these loops."""
        if is_test_code(source):
            return
        seen: set[int] = set()
        for fed in fed_loops(source):
            if fed.loader is not None and id(fed.loader.call) not in seen:
                seen.add(id(fed.loader.call))
                yield from _of_loader(source, fed, fed.loader)
            wait = first_wait(source, fed.loop)
            if wait is not None:
                yield _waiting(source, wait)


def _of_loader(source: Source, fed: FedLoop, loader: Loader) -> Iterator[Finding]:
    works = works_for_samples(source, loader)
    lacks_pinned = loader.is_plain and "pin_memory" not in loader.settings
    if loader.num_workers == 0 and works is not False:
        pinned = " and `pin_memory=True`" if lacks_pinned else ""
        yield Finding(
            at=loader.call.func,
            message="the process that trains loads every sample itself while the GPU waits; give the loader "
            f"`num_workers`{pinned}",
            confidence=Confidence.LIKELY if works else Confidence.POSSIBLE,
            fix=lambda: _fix(source, loader),
        )
    elif loader.num_workers and lacks_pinned:
        relies_on_it = "non_blocking=True" in source.code(fed.loop)
        nothing = ", so that `non_blocking=True` changes nothing" if relies_on_it else ""
        yield Finding(
            at=loader.call.func,
            message=f"batches are copied to the GPU from memory that is not pinned{nothing}; give the loader "
            "`pin_memory=True`",
            confidence=Confidence.LIKELY if relies_on_it else Confidence.POSSIBLE,
            fix=lambda: _fix(source, loader),
        )


def _fix(source: Source, loader: Loader) -> Fix | None:
    if not _is_run_once(source, loader.call) or not loader.is_plain:
        return None
    cuda = source.fact(Names).reference("torch.cuda.is_available", at=loader.call)
    pinned = [] if "pin_memory" in loader.settings else [f"pin_memory={cuda.code}()"]
    imports = cuda.edits if pinned else ()
    number = loader.settings.get("num_workers")
    if loader.num_workers or number is None:
        workers = [] if loader.num_workers else [f"num_workers={_NUM_WORKERS}"]
        edits = [with_keyword(source, loader.call, ", ".join([*workers, *pinned]))]
    else:
        edits = [replace(source, number, str(_NUM_WORKERS))]
        edits += [with_keyword(source, loader.call, pinned[0])] if pinned else []
    return unsafe_fix("Load beside the training", *imports, *edits)


def _is_run_once(source: Source, node: cst.CSTNode) -> bool:
    """Whether a worker that imports the script leaves the code alone: it is a function's, or below a guard."""
    return source.function_of(node) is not None or any(
        isinstance(above, cst.If) and "__name__" in source.code(above.test) for above in source.ancestors(node)
    )


def _waiting(source: Source, wait: cst.Call) -> Finding:
    return Finding(
        at=wait,
        message=f"`{source.code(wait)}` makes every step wait until the GPU is done; keep the tensor with `.detach()`, "
        "and ask for the number every so many steps",
        confidence=Confidence.POSSIBLE,
    )
