"""TRN219: an epsilon that stands where it does not help."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


class MisplacedEpsilon(Rule):
    """An epsilon helps inside the root or the denominator, not outside."""

    code = "TRN219"

    def check(self, source: Source) -> Iterator[Finding]:
        """Nothing yet."""
        yield from ()
