"""TRN215: a sum of float16 numbers, which overflows at 65504."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


class HalfSumOverflow(Rule):
    """A sum or a square of float16 numbers is infinite beyond 65504."""

    code = "TRN215"

    def check(self, source: Source) -> Iterator[Finding]:
        """Nothing yet."""
        yield from ()
