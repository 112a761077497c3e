"""One file replaced whole: a temporary beside it, safe on the disk, that a rename then puts in its place."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

_ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_FOLDER_CANNOT_SYNC = {errno.EINVAL, errno.EACCES, errno.EBADF, errno.ENOSYS, errno.ENOTSUP, errno.EPERM}


def read_regular(path: Path) -> bytes | None:
    """The file's bytes; None where there is no file, or a link, folder or device in its place."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def why_not_replaceable(target: Path) -> str | None:
    """What forbids replacing the file, and the way out; None when nothing does.

    A rename needs no permission of the file itself, so that a file which somebody protected would be replaced all the
    same. The permission bits count even for root, who could write anything.
    """
    status = target.stat()
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if not status.st_mode & _ANY_WRITE or not os.access(target, os.W_OK):
        return "it is read-only; make it writable (`chmod u+w`) or exclude it"
    folder = target.parent
    if not folder.stat().st_mode & _ANY_WRITE or not os.access(folder, os.W_OK | os.X_OK):
        return f"its folder {folder} is read-only; make it writable (`chmod u+w`) or exclude it"
    return None


def write_temporary(temporary: Path, data: bytes, *, like: Path) -> None:
    """Makes a file with the mode, and where possible the owner and extended attributes, of `like`; safe on the disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        _copy_metadata(like, temporary)
        os.fsync(file.fileno())


def sync_folders(folders: Iterable[Path]) -> None:
    """Makes names that were added, moved or removed in these folders safe on the disk."""
    if sys.platform == "win32":
        return
    for folder in sorted(set(folders)):
        try:
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno not in _FOLDER_CANNOT_SYNC:
                raise


def _copy_metadata(source: Path, target: Path) -> None:
    status, fresh = source.stat(), target.stat()
    if sys.platform != "win32" and (status.st_uid, status.st_gid) != (fresh.st_uid, fresh.st_gid):
        with contextlib.suppress(OSError):
            os.chown(target, -1, status.st_gid)
        with contextlib.suppress(OSError):
            os.chown(target, status.st_uid, -1)
    # After the owner, because a change of owner takes set-user-id bits away.
    target.chmod(stat.S_IMODE(status.st_mode))
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            for name in os.listxattr(source):
                with contextlib.suppress(OSError):
                    os.setxattr(target, name, os.getxattr(source, name))
