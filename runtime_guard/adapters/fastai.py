"""fastai: a callback of its Learner, and a view of its optimizers, which are none of torch's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from fastai.callback.core import (
    Callback,
    CancelBatchException,
    CancelEpochException,
    CancelFitException,
    CancelTrainException,
)
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.training import GradientAccumulation
from typing_extensions import Unpack

from runtime_guard.guard import Guard
from runtime_guard.hosted import Hosted, Options, Shown

_CANCELS = (CancelBatchException, CancelEpochException, CancelFitException, CancelTrainException)
_NAMES = {"mom": "momentum", "wd": "weight_decay"}
"""What torch calls some of fastai's hyperparameters."""


class FastaiGuard(Callback):
    """Guards `Learner.fit`: `Learner(dls, model, cbs=FastaiGuard(logdir="runs/1"))`.

    The batch that is kept is the one that the model sees: after all other callbacks' `before_batch`. Of a bad step
    model, loss, `backward` and the optimizer run again, with their events. What the recorder has heard of a step that
    is skipped stays recorded.

    Args:
        samples: From a batch (`xb` and `yb` together) and a dict with `loss` and `pred` to the arguments of
            `Guard.samples`; without it nothing is shown of predictions.
        options: Those of `Guard`, but for model, optimizer, scaler and scheduler, which the Learner knows.
    """

    order = 100

    def __init__(self, *, samples: Shown | None = None, **options: Unpack[Options]) -> None:
        super().__init__()
        self._run = Hosted(options, samples)
        self._put_back: list[Callable[[], None]] = []

    @property
    def guard(self) -> Guard:
        """The guard of the fit that goes on, or was the last; RuntimeError before the first."""
        return self._run.guard

    # What the Learner calls by name

    def before_fit(self) -> None:
        learn = self.learn
        self._unwrap()
        inner = getattr(learn.opt, "opt", None)
        if isinstance(inner, torch.optim.Optimizer):  # An OptimWrapper's.
            optimizer = inner
        else:
            optimizer = _View(learn.opt)
            self._wrap(learn.opt, "step", optimizer.step)
        self._wrap(learn, "_do_one_batch", self._guarded(learn._do_one_batch))
        counts = [_Count(cb) for cb in learn.cbs if isinstance(cb, GradientAccumulation)]
        self._run.start(learn.model, optimizer, again=self._again, state=counts)

    def before_batch(self) -> None:
        if self.learn.training:
            self._run.begin((*self.learn.xb, *self.learn.yb), self.learn.iter)

    def after_batch(self) -> None:
        outputs = {"loss": getattr(self.learn, "loss", None), "pred": self.learn.pred}
        if self.learn.training:
            self._run.end(outputs)
        else:
            self._run.validated((*self.learn.xb, *self.learn.yb), outputs)

    def before_validate(self) -> None:
        self._run.set_validation(is_on=True)

    def after_validate(self) -> None:
        self._run.set_validation(is_on=False)

    def after_epoch(self) -> None:
        self._run.end_epoch(self._metrics())

    def after_fit(self) -> None:
        self._unwrap()
        self._run.finish(self._metrics())

    # Inside

    def _metrics(self) -> dict[str, Any]:
        recorder = getattr(self.learn, "recorder", None)
        if recorder is None:
            return {}
        found = zip(recorder.metric_names, recorder.log, strict=False)
        return {name: value for name, value in found if isinstance(value, float)}

    def _guarded(self, step: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            try:
                step()
            except _CANCELS:
                raise
            except BaseException as error:
                self._run.failed(error)
                raise

        self._train_step = step
        return guarded

    def _again(self, number: int, batch: Any) -> None:
        learn = self.learn
        num_inputs = len(learn.xb)
        learn.xb, learn.yb = tuple(batch[:num_inputs]), tuple(batch[num_inputs:])
        for callback in learn.cbs:
            if isinstance(callback, MixedPrecision):
                callback("before_batch")
        with contextlib.suppress(CancelBatchException):  # Gradients are accumulated.
            self._train_step()

    def _wrap(self, owner: Any, name: str, wrapper: Any) -> None:
        setattr(owner, name, wrapper)
        self._put_back.append(lambda: delattr(owner, name))

    def _unwrap(self) -> None:
        while self._put_back:
            self._put_back.pop()()


class _View(torch.optim.Optimizer):
    """A fastai optimizer, as torch's hooks and the guard know optimizers. Groups and state are the optimizer's own."""

    _inner: Any = None

    def __init__(self, inner: Any) -> None:
        super().__init__([p for parameters in inner.param_lists for p in parameters], {})
        self._inner, self._inner_step = inner, inner.step

    @property
    def param_groups(self) -> list[Any]:  # type: ignore[override, unused-ignore]
        if self._inner is None:
            return []
        return [_Group(p, hyper) for p, hyper in zip(self._inner.param_lists, self._inner.hypers, strict=True)]

    @param_groups.setter
    def param_groups(self, value: Any) -> None:
        """They are the optimizer's."""

    @property
    def state(self) -> Any:  # type: ignore[override, unused-ignore]
        return {} if self._inner is None else self._inner.state

    @state.setter
    def state(self, value: Any) -> None:
        """It is the optimizer's."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override, unused-ignore]
        """Between the hooks that torch has put around it."""
        self._inner_step()


class _Group(dict[str, Any]):
    """A parameter group that writes what it is updated with into fastai's hyperparameters."""

    def __init__(self, parameters: Any, hyper: dict[str, Any]) -> None:
        super().__init__(params=list(parameters), **{_NAMES.get(key, key): value for key, value in hyper.items()})
        self._hyper = hyper

    def update(self, options: Mapping[str, Any]) -> None:  # type: ignore[override, unused-ignore]
        for key in self._hyper:
            self._hyper[key] = options.get(_NAMES.get(key, key), self._hyper[key])


class _Count:
    """How many samples have been accumulated."""

    def __init__(self, callback: Any) -> None:
        self._callback = callback

    def state_dict(self) -> dict[str, Any]:
        return {"count": self._callback.count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._callback.count = state_dict["count"]
