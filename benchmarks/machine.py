"""The machine that figures come from, in words that identify no one."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path


def machine_in_words() -> str:
    """Like `2 cores (Intel Xeon), 23 GiB of memory, Linux, CPython 3.11.2, libcst 1.9.0`."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    model = _processor()
    parts = [
        f"{cores} core{'s' if cores != 1 else ''}" + (f" ({model})" if model else ""),
        f"{_memory_gib():.0f} GiB of memory",
        platform.system(),
        f"{platform.python_implementation()} {'.'.join(map(str, sys.version_info[:3]))}",
        f"libcst {version('libcst')}",
    ]
    return ", ".join(parts)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
