"""Injected faults are found at the exact step, and named. The whole matrix is `make faults`."""

from __future__ import annotations

import pytest
import torch

from runtime_guard import Guard, TrainingIncident
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


def test_the_model_itself_is_named_where_it_is_to_blame() -> None:
    class Head(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.log(super().forward(x).relu() * 0).mean()

    model = Head(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    guard = Guard(model, optimizer)

    def train() -> None:
        for batch in guard.watch([torch.ones(3, 2)]):
            model(batch).backward()
            optimizer.step()

    with pytest.raises(TrainingIncident) as caught:
        train()
    incident = caught.value.incident
    assert incident.birth is not None
    assert incident.birth.module == "the model itself"
    assert "the model itself (Head)" in str(caught.value)
    assert {link.module for link in incident.chain} == {"Head"}
