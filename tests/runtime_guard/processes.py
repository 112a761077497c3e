"""Python processes for tests, forked from a server that has imported torch already: that takes seconds each time."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

_context = multiprocessing.get_context("forkserver" if sys.platform != "win32" else "spawn")
_context.set_forkserver_preload(["torch._dynamo", "safetensors.torch", "numpy", "click"])


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python ARGUMENTS` in a folder: `-c CODE`, `-m MODULE` or a script, each with its own arguments."""
    pipes = [_context.Pipe(duplex=False) for _ in range(2)]
    writers = [writer for _, writer in pipes]
    process = _context.Process(target=_run, args=(str(folder), arguments, dict(os.environ), writers))
    process.start()
    for writer in writers:
        writer.close()
    with ThreadPoolExecutor() as pool:
        out, err = pool.map(_read, [reader for reader, _ in pipes])
    process.join()
    return subprocess.CompletedProcess(["python", *arguments], process.exitcode or 0, out, err)


def _read(reader: Connection) -> str:
    """Everything, until all writers are gone."""
    with os.fdopen(os.dup(reader.fileno()), encoding="utf-8") as file:
        return file.read()


def fresh_python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same with an interpreter of its own, for what looks at how Python was started."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def _run(folder: str, arguments: tuple[str, ...], environment: dict[str, str], writers: list[Connection]) -> None:
    """In the process."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, writer in zip((1, 2), writers, strict=True):
        os.dup2(writer.fileno(), descriptor)
    import torch

    torch.set_num_threads(1)
    code: Any = 0
    try:
        _start(arguments)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def _start(arguments: tuple[str, ...]) -> None:
    match arguments:
        case ("-c", code, *rest):
            sys.argv, sys.path[:0] = ["-c", *rest], [""]
            exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
        case ("-m", module, *rest):
            sys.argv, sys.path[:0] = [module, *rest], [str(Path.cwd())]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case (path, *rest):
            sys.argv, sys.path[:0] = [path, *rest], [str(Path(path).absolute().parent)]
            runpy.run_path(path, run_name="__main__")
