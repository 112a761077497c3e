"""Ends this process as Python would have ended the script that it ran."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn

from runtime_guard.incidents.incident import TrainingIncident
from runtime_guard.scripts import script

_RUNNERS = ("<frozen runpy>", "runpy.py")


class ScriptEnd:
    """To be made before the script starts, so that what the script does at exit comes before an interrupt's signal."""

    def __init__(self) -> None:
        self._is_interrupted = False
        atexit.register(self._interrupt)

    def run(self, start: Callable[[], object]) -> None:
        """Calls it; an error of the script is printed with its own frames only, and ends the process.

        `SystemExit` and incidents pass.
        """
        try:
            start()
        except TrainingIncident:
            raise
        except (Exception, KeyboardInterrupt) as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> NoReturn:
        own = _of_the_script(error.__traceback__)
        sys.excepthook(type(error), error.with_traceback(own), own)
        self._is_interrupted = isinstance(error, KeyboardInterrupt)
        sys.exit(128 + signal.SIGINT if self._is_interrupted else 1)

    def _interrupt(self) -> None:
        """Whoever waits for this process learns that a signal ended it, and stops too, as shells do in a loop."""
        if self._is_interrupted and os.name == "posix":
            sys.stdout.flush()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)


def _of_the_script(traceback: TracebackType | None) -> TracebackType | None:
    """What follows on the last frame that started the script; None for an error in its syntax."""
    found = entry = traceback
    has_begun = False
    while entry is not None:
        path = entry.tb_frame.f_code.co_filename
        if path == script.__file__:
            has_begun = True
            found = entry.tb_next
        elif has_begun and entry is found and path.endswith(_RUNNERS):
            found = entry.tb_next
        entry = entry.tb_next
    return found
