"""Checking many files, in this process or in several, without letting one bad file stop the others."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from pipeline_lint.config import Settings
from pipeline_lint.diagnostic import Failure
from pipeline_lint.engine.catalog import selected_rules
from pipeline_lint.engine.check import check_bytes
from pipeline_lint.engine.result import FileResult
from pipeline_lint.parsing import with_deep_stack
from pipeline_lint.rule import Rule

_FEWEST_FILES_FOR_POOL = 12
_BATCHES_PER_WORKER = 8


@dataclass(frozen=True, slots=True)
class Task:
    """One file to check."""

    path: str
    size: int
    data: bytes | None = None
    """The content where it is not the one on the disk."""
    summarize: bool = False


Progress = Callable[[int], None]
"""Told the number of files done since it was last called."""


def check_tasks(
    tasks: Sequence[Task], settings: Settings, *, jobs: int, progress: Progress = lambda _: None
) -> dict[str, FileResult]:
    """The result for each path. A file that cannot be read or that kills its process has a failure."""
    if jobs <= 1 or len(tasks) < _FEWEST_FILES_FOR_POOL:
        rules = selected_rules(settings)
        return with_deep_stack(_check_batch, tasks, rules, settings, progress)
    results: dict[str, FileResult] = {}
    try:
        for result in _check_in_pool(_batches(tasks, jobs), settings, jobs, progress):
            results.update(result)
    except BrokenProcessPool:
        for task in tasks:
            if task.path not in results:
                results[task.path] = _check_apart(task, settings)
                progress(1)
    return results


def _check_batch(
    tasks: Sequence[Task], rules: Sequence[Rule], settings: Settings, progress: Progress
) -> dict[str, FileResult]:
    results = {}
    for task in tasks:
        results[task.path] = _check_task(task, rules, settings)
        progress(1)
    return results


def _check_task(task: Task, rules: Sequence[Rule], settings: Settings) -> FileResult:
    try:
        data = task.data if task.data is not None else Path(task.path).read_bytes()
    except OSError as error:
        return FileResult(failures=(unreadable(task.path, error),))
    return check_bytes(task.path, data, rules=rules, min_confidence=settings.min_confidence, summarize=task.summarize)


def unreadable(path: str, error: OSError) -> Failure:
    """What to tell of a file that the system does not let us read."""
    return Failure(path, f"cannot be read: {error.strerror or error}")


def _batches(tasks: Sequence[Task], jobs: int) -> list[list[Task]]:
    """Batches of about the same number of bytes, largest files first, so that no worker ends long after the others."""
    ordered = sorted(tasks, key=lambda task: (-task.size, task.path))
    limit = max(sum(task.size for task in tasks) // (jobs * _BATCHES_PER_WORKER), 1)
    batches: list[list[Task]] = []
    filled = limit
    for task in ordered:
        if filled >= limit:
            batches.append([])
            filled = 0
        batches[-1].append(task)
        filled += task.size
    return batches


def _check_in_pool(
    batches: Sequence[Sequence[Task]], settings: Settings, jobs: int, progress: Progress
) -> Iterator[dict[str, FileResult]]:
    executor = ProcessPoolExecutor(min(jobs, len(batches)), _context(), initializer=_start_worker, initargs=(settings,))
    try:
        pending: set[Future[dict[str, FileResult]]] = {executor.submit(_check_in_worker, batch) for batch in batches}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                result = future.result()
                progress(len(result))
                yield result
    except KeyboardInterrupt:
        _stop_workers(executor)
        raise
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _stop_workers(executor: ProcessPoolExecutor) -> None:
    """Ends the workers in the middle of their files; leaving Python would wait for them."""
    # `terminate_workers` does it from Python 3.14 on.
    for process in list((executor._processes or {}).values()):
        process.terminate()


def _check_apart(task: Task, settings: Settings) -> FileResult:
    """Checks a file in a process of its own: one of those that were under way when a worker died."""
    try:
        for result in _check_in_pool([[task]], settings, 1, lambda _: None):
            return result[task.path]
    except BrokenProcessPool:
        pass
    message = "the checker's process died on this file (out of memory?); please report it with the file"
    return FileResult(failures=(Failure(task.path, message),))


def _context() -> multiprocessing.context.BaseContext:
    """Forking spares each worker the imports; it is only sound while this process has one thread."""
    if sys.platform == "linux" and threading.active_count() == 1:
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context("spawn")


_worker_settings: Settings | None = None


def _start_worker(settings: Settings) -> None:
    global _worker_settings  # noqa: PLW0603 - a pool's initializer can only leave its result in the module
    # Ctrl-C is the parent's affair; it ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker_settings = settings


def _check_in_worker(tasks: Sequence[Task]) -> dict[str, FileResult]:
    assert _worker_settings is not None
    rules = selected_rules(_worker_settings)
    return with_deep_stack(_check_batch, tasks, rules, _worker_settings, lambda _: None)
