"""An optimizer that makes bad parameters out of finite gradients: which of its operations does it."""

from __future__ import annotations

import copy
import sys
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from runtime_guard.device.finiteness import Level, level_of
from runtime_guard.incidents.incident import Birth
from runtime_guard.replay.births import BirthWatch
from runtime_guard.replay.cause import birth_of
from runtime_guard.replay.events import Event
from runtime_guard.replay.places import ModuleStack, place_of, user_stack
from runtime_guard.sentinel.gate import Gate
from runtime_guard.state import Tracked


def birth_in_update(gate: Gate, tracked: Tracked) -> Birth | None:
    """Steps a stand-in of the optimizer for the first bad parameter, and returns what was born in it.

    The parameter's value from before the update is gone; zeros take its place. What the optimizer keeps for it is as
    the update left it, which is near enough for a denominator that is 0 to be 0 again. None when the stand-in's step
    stays finite.
    """
    bad = next((p for p in gate.parameters if level_of(p) is not Level.FINITE and p.grad is not None), None)
    if bad is None:
        return None
    frame = sys._getframe(1)
    stand_in, parameter = _stand_in(gate.optimizer, bad)
    modules = ModuleStack(tracked.models)
    births = BirthWatch(modules)
    births.is_update = True
    with births, torch.no_grad():
        stand_in.step()
    event = next((event for event in births.events if event.is_birth), None)
    if event is None:
        return None
    names = tracked.names().get(id(bad), ("a parameter",))
    lines = user_stack(frame)
    event.line = lines[-1] if lines else None
    event.stack = lines
    birth = birth_of(event, modules)
    del parameter
    return _for_parameter(birth, event, names)


def _for_parameter(birth: Birth, event: Event, names: tuple[str, ...]) -> Birth:
    values = {name: getattr(birth, name) for name in birth.__dataclass_fields__}
    values["modules"] = tuple(name.rpartition(".")[0] for name in names if "." in name) or names
    values["place"] = place_of(event.line)
    return Birth(**values)


def _stand_in(optimizer: Optimizer, parameter: Tensor) -> tuple[Any, Tensor]:
    """An optimizer of the same class, options and state, for a single parameter that is a copy."""
    group = next(g for g in optimizer.param_groups if any(p is parameter for p in g["params"]))
    double = torch.nn.Parameter(torch.zeros_like(parameter))
    assert parameter.grad is not None
    double.grad = parameter.grad.detach().clone()
    stand_in = object.__new__(type(optimizer))
    stand_in.__dict__.update(optimizer.__dict__)
    stand_in.__dict__.pop("step", None)  # A scheduler wraps it, and would count.
    for hooks in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
        stand_in.__dict__[hooks] = type(optimizer.__dict__[hooks])()
    stand_in.param_groups = [{**{k: v for k, v in group.items() if k != "params"}, "params": [double]}]
    state = copy.copy(optimizer.state)
    state.clear()
    state[double] = {key: _finite_copy(value) for key, value in optimizer.state.get(parameter, {}).items()}
    stand_in.state = state
    return stand_in, double


def _finite_copy(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return copy.deepcopy(value)
    return value.detach().clone().nan_to_num_(0.0, 0.0, 0.0) if value.is_floating_point() else value.detach().clone()
