"""A lock on a file that the operating system releases when its holder dies, however it dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.01


@contextmanager
def write_lock(path: Path, *, patience_seconds: float) -> Iterator[bool]:
    """Holds the lock, or tells that another process kept it for so long.

    The file stays: whoever removed it could remove it from under the next holder.
    Raises `OSError` when the file cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        deadline = time.monotonic() + patience_seconds
        while not (is_held := _try_lock(descriptor)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        yield is_held
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            # Some cluster file systems have no locks. Two runs that write at the same moment are rarer there than
            # people who want their files fixed, and a run survives that its temporaries are taken away.
            return True
        return True
