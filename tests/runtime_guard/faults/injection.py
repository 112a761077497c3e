"""Puts a fault into a training, and says what the truth about it is."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tests.runtime_guard.faults.architectures import ARCHITECTURES, Batch, Training, fields, module_at
from tests.runtime_guard.faults.operations import OPERATIONS, OperationFault

NUM_STEPS = 5
BAD_STEP = 3
NUM_MICRO_BATCHES = 2
_OPERATIONS_FILE = str(Path(sys.modules[OPERATIONS["log_zero"].apply.__module__].__file__ or ""))


@dataclass
class Truth:
    """What a verdict has to say."""

    step: int | None = BAD_STEP
    """-1 when it has to be found out by running, None when no step is bad."""
    kind: str = "operation"
    phase: str = "forward"
    operations: tuple[str, ...] = ()
    module: str | None = None
    """None where no module is at fault."""
    path: str | None = None
    line: int | None = None
    rule: str | None = None
    samples: tuple[int, ...] = ()
    micro_batch: int = 0
    observation: str = ""
    """A part of what the history has to show."""


@dataclass
class Case:
    """A training with a fault in it, ready to run."""

    training: Training
    batches: list[Batch]
    body: Callable[[Batch], Tensor]
    truth: Truth
    switch: Switch
    scaler: torch.amp.GradScaler | None = None


@dataclass
class Switch:
    """Whether the fault is on; the loop body sets it from the batch."""

    is_on: bool = False
    lines: dict[str, int] = field(default_factory=dict)


def inject(fault: str, architecture: str, seed: int = 0) -> Case:
    """The case of one cell of the matrix. The site of the fault is drawn by the seed."""
    torch.manual_seed(seed)
    training = ARCHITECTURES[architecture]()
    generator = torch.Generator().manual_seed(seed + 1)
    site = training.sites[int(torch.randint(0, len(training.sites), (1,), generator=generator))]
    batches = [training.make_batch(generator) for _ in range(NUM_STEPS)]
    for index, batch in enumerate(batches):
        batch["is_faulty"] = torch.tensor(index == BAD_STEP)
    case = Case(training, batches, lambda batch: batch["x"], Truth(module=site), Switch())
    _add_optimizers(training)
    case.body = _body(case)
    if fault in OPERATIONS:
        _wrap_site(case, site, OPERATIONS[fault])
    else:
        SPECIAL[fault](case, site)
    return case


def _add_optimizers(training: Training) -> None:
    for name in training.losses:
        parameters = list(training.models[name].parameters())
        training.optimizers[name] = torch.optim.Adam(parameters, 1e-3)


def _body(case: Case) -> Callable[[Batch], Tensor]:
    training = case.training

    def body(batch: Batch) -> Tensor:
        case.switch.is_on = bool(batch["is_faulty"])
        for name, loss_of in training.losses.items():
            optimizer = training.optimizers[name]
            optimizer.zero_grad()
            loss = loss_of(fields(batch))
            loss.backward()
            case.switch.lines["step"] = sys._getframe().f_lineno + 1
            optimizer.step()
        return loss

    return body


def _wrap_site(case: Case, site: str, fault: OperationFault, around: Callable[[Any], Any] = lambda f: f) -> None:
    """Lets the output of a module go through the fault when the switch is on."""
    module = module_at(case.training, site)
    forward, switch = module.forward, case.switch

    def faulty(*args: Tensor) -> Tensor:
        out = forward(*args)
        return fault.apply(out) if switch.is_on else out

    module.forward = around(faulty)
    case.truth = Truth(
        phase=fault.phase,
        operations=fault.operations,
        module=site,
        path=_OPERATIONS_FILE,
        line=fault.line,
        rule=fault.rule,
    )


def _nan_input(case: Case, site: str) -> None:
    name = case.training.input_name
    case.batches[BAD_STEP][name].fill_(math.nan)
    case.truth = Truth(
        kind="input",
        phase="before",
        operations=(f"batch['{name}']",),
        samples=tuple(range(len(case.batches[BAD_STEP][name]))),
    )


def _nan_sample(case: Case, site: str) -> None:
    name = case.training.input_name
    case.batches[BAD_STEP][name][2].fill_(math.nan)
    case.truth = Truth(kind="input", phase="before", operations=(f"batch['{name}']",), samples=(2,))


def _nan_parameter(case: Case, site: str) -> None:
    module = module_at(case.training, site)
    if not list(module.parameters()):
        site, module = next(
            (name, m) for name, m in case.training.models[""].named_modules() if list(m.parameters(recurse=False))
        )
    name, parameter = next(iter(module.named_parameters()))
    body = case.body

    def poisoned(batch: Batch) -> Tensor:
        if batch["is_faulty"]:
            with torch.no_grad():
                parameter.view(-1)[0] = math.nan
        return body(batch)

    case.body = poisoned
    case.truth = Truth(
        kind="parameter", phase="before", operations=(f"{site}.{name}",), module=f"{site}.{name}".rpartition(".")[0]
    )


def _exploding_learning_rate(case: Case, site: str) -> None:
    optimizers = case.training.optimizers
    for name, loss in case.training.losses.items():
        del loss
        parameters = list(case.training.models[name].parameters())
        optimizers[name] = torch.optim.SGD(parameters, 1e-2)
    body = case.body

    def explode(batch: Batch) -> Tensor:
        if batch["is_faulty"]:
            for optimizer in optimizers.values():
                optimizer.param_groups[0]["lr"] = 1e38
        return body(batch)

    case.body = explode
    case.batches += [{**case.batches[-1], "is_faulty": torch.tensor(False)} for _ in range(6)]
    case.truth = Truth(step=-1, observation="the parameter norm jumped")


class Gain(nn.Module):
    """A learned factor in float16."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, dtype=torch.float16))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain.float()


def _adam_epsilon_in_half(case: Case, site: str) -> None:
    """The gradient of the factor is so small that its square is 0 in float16, and 0 + eps is 0 as well."""
    name = next(iter(case.training.losses))
    loss_of, gain = case.training.losses[name], Gain()
    module_at(case.training, site).add_module("gain", gain)
    case.training.optimizers[name].add_param_group({"params": list(gain.parameters())})
    switch = case.switch

    def loss(batch: Batch) -> Tensor:
        value = loss_of(batch)
        return value + 1e-5 * gain(torch.ones(1)).sum() if switch.is_on else value

    case.training.losses[name] = loss
    case.truth = Truth(
        phase="update",
        operations=("div", "addcdiv", "foreach_div", "foreach_addcdiv"),
        module=f"{site}.gain",
        path=__file__,
        line=-1,
        rule="TRN214",
    )


def _outside_of_the_model(case: Case, site: str) -> None:
    name = list(case.training.losses)[-1]
    loss_of, switch = case.training.losses[name], case.switch

    def loss(batch: Batch) -> Tensor:
        value = loss_of(batch)
        if switch.is_on:
            spread = value * 0
            switch.lines["fault"] = sys._getframe().f_lineno + 1
            value = value + spread.log()
        return value

    case.training.losses[name] = loss
    case.truth = Truth(operations=("log",), path=__file__, line=-2, rule="TRN204")


def _checkpointed(fault: str) -> Callable[[Case, str], None]:
    def change(case: Case, site: str) -> None:
        _wrap_site(case, site, OPERATIONS[fault], lambda f: lambda x: checkpoint(f, x, use_reentrant=False))

    return change


def _compiled(fault: str) -> Callable[[Case, str], None]:
    def change(case: Case, site: str) -> None:
        _wrap_site(case, site, OPERATIONS[fault], lambda f: torch.compile(f, backend="aot_eager"))

    return change


def _second_micro_batch(case: Case, site: str) -> None:
    """Gradients of two batches are added up; the fault is in the second one."""
    _wrap_site(case, site, OPERATIONS["log_zero"])
    training, body_of = case.training, case.switch

    def body(batch: Batch) -> Tensor:
        body_of.is_on = bool(batch["is_faulty"])
        for loss_of in training.losses.values():
            loss = loss_of(fields(batch)) / NUM_MICRO_BATCHES
            loss.backward()
        if batch["is_last"]:
            for optimizer in training.optimizers.values():
                optimizer.step()
                optimizer.zero_grad()
        return loss

    case.body = body
    doubled = []
    for batch in case.batches:
        first = {**batch, "is_last": torch.tensor(False), "is_faulty": torch.tensor(False)}
        doubled += [first, {**batch, "is_last": torch.tensor(True)}]
    case.batches = doubled
    case.truth.micro_batch = 1


def _under_scaler(case: Case, site: str) -> None:
    """The forward pass overflows under autocast; the scaler would skip this step for ever."""
    _wrap_site(case, site, OPERATIONS["exp_overflow"])
    training, switch = case.training, case.switch
    scaler = case.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def body(batch: Batch) -> Tensor:
        switch.is_on = bool(batch["is_faulty"])
        for name, loss_of in training.losses.items():
            optimizer = training.optimizers[name]
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_of(fields(batch))
            scaler.scale(loss).backward()
            scaler.step(optimizer)
        scaler.update()
        return loss

    case.body = body


SPECIAL: dict[str, Callable[[Case, str], None]] = {
    "nan_input": _nan_input,
    "nan_sample": _nan_sample,
    "nan_parameter": _nan_parameter,
    "exploding_learning_rate": _exploding_learning_rate,
    "adam_epsilon_in_half": _adam_epsilon_in_half,
    "outside_of_the_model": _outside_of_the_model,
    "checkpointed": _checkpointed("log_zero"),
    "checkpointed_gradient": _checkpointed("sqrt_gradient"),
    "compiled": _compiled("exp_overflow"),
    "compiled_gradient": _compiled("sqrt_gradient"),
    "second_micro_batch": _second_micro_batch,
    "under_scaler": _under_scaler,
}
FAULTS = (*OPERATIONS, *SPECIAL)


def final_truth(case: Case) -> Truth:
    """The truth after the run: some lines are known only once they have run."""
    if case.truth.line == -1:
        case.truth.line = case.switch.lines["step"]
    elif case.truth.line == -2:
        case.truth.line = case.switch.lines["fault"]
    return case.truth


def first_bad_step(fault: str, architecture: str, seed: int) -> int | None:
    """The step whose loss, gradients or update are the first that are not finite, found out without a guard.

    None when there is none: a model that saturates may bear any parameters.
    """
    case = inject(fault, architecture, seed)
    for step, batch in enumerate(case.batches):
        loss = case.body(batch)
        parameters = [p for model in case.training.models.values() for p in model.parameters()]
        gradients = [p.grad for p in parameters if p.grad is not None]
        if not all(bool(t.isfinite().all()) for t in (loss, *parameters, *gradients)):
            return step
    return None
