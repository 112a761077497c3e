"""Injected faults are found at the exact step, and named. The whole matrix is `make faults`."""

from __future__ import annotations

import pytest

from tests.runtime_guard.faults.architectures import ARCHITECTURES
from tests.runtime_guard.faults.injection import FAULTS
from tests.runtime_guard.faults.scoring import score

# Each fault in two architectures; every architecture gets its share.
_NAMES = list(ARCHITECTURES)
CELLS = [
    (fault, _NAMES[(index * 3 + offset) % len(_NAMES)])
    for index, fault in enumerate(FAULTS)
    for offset in ((0, 4) if "compiled" not in fault else (0,))
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("fault", "architecture"), CELLS)
def test_a_fault_is_named(fault: str, architecture: str) -> None:
    found = score(fault, architecture, seed=0)
    assert found.is_all_right, (found, found.incident)
