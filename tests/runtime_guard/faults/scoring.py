"""Runs a case under the guard and compares the verdict with the truth."""

from __future__ import annotations

from dataclasses import dataclass

from runtime_guard import Guard, Incident, Settings, TrainingIncident
from tests.runtime_guard.faults.injection import Case, Truth, final_truth, first_bad_step, inject


@dataclass(frozen=True)
class Score:
    """What a verdict got right; None where there was nothing to name."""

    is_step_right: bool
    is_module_right: bool | None
    is_operation_right: bool | None
    is_line_right: bool | None
    is_rule_right: bool | None
    is_rest_right: bool
    """Kind, phase, samples, micro-batch, and what the history shows."""
    incident: Incident | None
    truth: Truth

    @property
    def is_all_right(self) -> bool:
        return False not in (
            self.is_step_right, self.is_module_right, self.is_operation_right, self.is_line_right, self.is_rule_right,
            self.is_rest_right,
        )  # fmt: skip


def run_guarded(case: Case) -> Incident | None:
    """Trains until the guard raises."""
    guard = Guard(case.training.models, case.training.optimizers, scaler=case.scaler, settings=Settings())
    try:
        for batch in guard.watch(case.batches):
            case.body(batch)
    except TrainingIncident as error:
        return error.incident
    finally:
        guard.close()
    return None


def score(fault: str, architecture: str, seed: int = 0) -> Score:
    """The score of one cell of the matrix."""
    case = inject(fault, architecture, seed)
    incident = run_guarded(case)
    truth = final_truth(case)
    if truth.step == -1:
        truth.step = first_bad_step(fault, architecture, seed)
    if incident is None and truth.step is None:
        return Score(True, None, None, None, None, True, None, truth)
    if incident is None:
        return Score(False, False, False, False, False, False, None, truth)
    birth = incident.birth
    operation = birth.operation.strip("_") if birth is not None else ""
    place = birth.place if birth is not None else None
    if birth is None:
        found_module: str | None = None
    else:
        found_module = (birth.modules[0] or None) if birth.modules else None
    names_module = truth.operations != () and truth.kind != "input"
    return Score(
        is_step_right=incident.step == truth.step,
        is_module_right=(truth.module == found_module or truth.module in (birth.modules if birth else ()))
        if names_module
        else None,
        is_operation_right=operation in truth.operations if truth.operations else None,
        is_line_right=(place is not None and (place.path, place.line) == (truth.path, truth.line))
        if truth.line is not None
        else None,
        is_rule_right=incident.rule == truth.rule if truth.rule is not None else None,
        is_rest_right=_is_rest_right(incident, truth),
        incident=incident,
        truth=truth,
    )


def _is_rest_right(incident: Incident, truth: Truth) -> bool:
    birth = incident.birth
    if truth.observation:
        return any(truth.observation in text for text in incident.observations)
    return (
        birth is not None
        and (birth.kind, birth.phase) == (truth.kind, truth.phase)
        and birth.samples == truth.samples
        and incident.micro_batch == truth.micro_batch
    )
