"""The values that an exponent can have: an interval, and what is known of where they come from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Reach:
    """The values that an exponent can have."""

    low: float = -math.inf
    high: float = math.inf
    is_shifted: bool = False
    """Whether its own maximum was subtracted, so that the largest exponential is 1."""
    is_table: bool = False
    """Whether it is made of constants alone, as positions and grids are."""
    is_gaussian: bool = False
    """Whether it is minus a square over a width."""

    def negated(self) -> Reach:
        """The values of `-x`."""
        return replace(self, low=-self.high, high=-self.low, is_shifted=False)

    def plus(self, other: Reach) -> Reach:
        """The values of `x + y`; a bounded addend leaves a maximum that was subtracted away."""
        is_shifted = (self.is_shifted and other.high < math.inf) or (other.is_shifted and self.high < math.inf)
        return Reach(self.low + other.low, self.high + other.high, is_shifted, self.is_table and other.is_table)

    def times(self, factor: float) -> Reach:
        """The values of `factor * x`."""
        if factor == 0:
            return Reach(0.0, 0.0, is_table=self.is_table)
        low, high = sorted((self.low * factor, self.high * factor))
        return replace(self, low=low, high=high, is_shifted=self.is_shifted and factor > 0)

    def joined(self, other: Reach) -> Reach:
        """The values of either."""
        return Reach(
            min(self.low, other.low),
            max(self.high, other.high),
            self.is_shifted and other.is_shifted,
            self.is_table and other.is_table,
        )
