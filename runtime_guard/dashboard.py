"""Starts TensorBoard on a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

KEPT = {"scalars": 10000, "images": 200, "text": 200, "histograms": 500, "pr_curves": 200}
"""How many steps of a key are kept. TensorBoard's own are so few that epochs would be missing: it keeps 10 pictures."""


class DashboardError(Exception):
    """TensorBoard cannot be started; the text says what to do."""


def has_events(folder: Path) -> bool:
    """Whether there is anything for TensorBoard in the folder, or below it."""
    return next(folder.rglob("events.out.tfevents.*"), None) is not None


def arguments_for(folder: Path, *, host: str, port: int, more: Sequence[str] = ()) -> list[str]:
    """TensorBoard's command line; what stands in `more` comes last, and so counts."""
    return [
        *("--logdir", str(folder)),
        *("--host", host, "--port", str(port)),
        *("--samples_per_plugin", ",".join(f"{plugin}={number}" for plugin, number in KEPT.items())),
        # A resumed run has several event files.
        *("--reload_multifile", "true"),
        *("--window_title", folder.absolute().name),
        *more,
    ]


def serve(arguments: Sequence[str]) -> int:
    """Runs TensorBoard until it is interrupted, and returns its exit code. Raises `DashboardError`."""
    try:
        from tensorboard import program
    except ImportError as error:
        raise DashboardError(
            f"TensorBoard cannot be imported ({error}); install it with: pip install 'pipeline-lint[guard]'"
        ) from None
    board = program.TensorBoard()
    board.configure(argv=["tensorboard", *arguments])
    return int(board.main())
