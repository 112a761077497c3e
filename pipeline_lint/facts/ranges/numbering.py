"""Numbers of values: equal for what is computed in the same way from the same values, wherever it stands."""

from __future__ import annotations

from pipeline_lint.facts.ranges.value import Value, fresh_number

Key = tuple[object, ...]


class Numbers:
    """Gives values their numbers; `mask.sum()` written twice has one, so that a test of one tells of the other."""

    def __init__(self) -> None:
        self._known: dict[Key, int] = {}

    def of(self, key: Key) -> int:
        """The number of what is computed as the key says."""
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = fresh_number()
        return number

    def numbered(self, value: Value, key: Key) -> Value:
        """The value with the number of its key."""
        number = self.of(key)
        root = number if value.root == value.number else value.root
        return value.but(number=number, root=root)
