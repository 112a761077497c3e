"""TRN503: a run that is logged without what it was set to."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.loops.actions import Actions, Kind
from pipeline_lint.facts.loops.roles import Role, Roles
from pipeline_lint.facts.loops.traces import Traces
from pipeline_lint.facts.trained_code import is_test_code
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_WRITERS = {
    "torch.utils.tensorboard.SummaryWriter": "`add_hparams`",
    "torch.utils.tensorboard.writer.SummaryWriter": "`add_hparams`",
    "tensorboardX.SummaryWriter": "`add_hparams`",
    "wandb.init": "`config=`",
    "mlflow.start_run": "`mlflow.log_params`",
}
_KEPT = re.compile(
    r"hparams|hyper_?param|add_text|wandb\.config|\.config\.update|log_params?\b|autolog|add_custom_scalars"
)
_RATE = re.compile(
    r"(add_scalars?|log_metrics?|\blog)\([^\n]*([\"'/_]lr|\blr\b|learning.?rate|get_last_lr|param_groups)",
    re.IGNORECASE,
)
_SETTINGS = {
    "lr": "learning rate",
    "momentum": "momentum",
    "betas": "betas",
    "weight_decay": "weight decay",
}


class HyperparametersNotLogged(Rule):
    """A run is logged without its hyper-parameters, so that nobody can say later what made it better than another.

    Curves of forty runs side by side answer which was best, not why: that takes the learning rate, the momentum, the
    weight decay and the batch size of each, in the place where the curves are, and its final metrics beside them. A
    learning rate that changes belongs among the curves as well: where the loss jumps, it is the first suspect.

    Bad:
        import torch
        from torch.utils.tensorboard import SummaryWriter

        def train(model, loader, loss_function):
            writer = SummaryWriter()
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            for step, (x, target) in enumerate(loader):
                optimizer.zero_grad()
                loss = loss_function(model(x), target)
                loss.backward()
                optimizer.step()
                writer.add_scalar("loss", loss.item(), step)
    Good:
        import torch
        from torch.utils.tensorboard import SummaryWriter

        def train(model, loader, loss_function, settings):
            writer = SummaryWriter()
            optimizer = torch.optim.SGD(model.parameters(), lr=settings["lr"], momentum=settings["momentum"])
            for step, (x, target) in enumerate(loader):
                optimizer.zero_grad()
                loss = loss_function(model(x), target)
                loss.backward()
                optimizer.step()
                writer.add_scalar("loss", loss.item(), step)
                writer.add_scalar("lr", optimizer.param_groups[0]["lr"], step)
            writer.add_hparams(settings, {"loss": loss.item()})
    Exempt: files that keep hyper-parameters or a configuration with the run in any way, as a table or as a text; a
        writer of another file; files that train nothing; tests. The rule is off by default.
    Fix: None: which values a run is set to is known to whoever reads them from the command line or a file.
    Source: "Efficient PyTorch: Supercharging the Training Pipeline" (E. Khvedchenya, 2020), on hyper-parameters with
        the final metrics.
    """

    code = "TRN503"
    is_default = False
    triggers = ("SummaryWriter", "wandb", "mlflow")

    def check(self, source: Source) -> Iterator[Finding]:
        """The writers of a file that trains, where nothing is kept of what the run was set to."""
        if is_test_code(source) or _KEPT.search(source.text):
            return
        if not any(action.kind is Kind.BACKWARD for action in source.fact(Actions).all):
            return
        for call in source.nodes(cst.Call):
            remedy = _WRITERS.get(source.fact(Names).resolve(call.func) or "")
            if remedy is not None and not _has_config(call):
                yield _found(source, call, remedy)


def _has_config(call: cst.Call) -> bool:
    return any(each.star == "**" or (each.keyword is not None and each.keyword.value == "config") for each in call.args)


def _found(source: Source, call: cst.Call, remedy: str) -> Finding:
    settings = _settings(source)
    names = f", {', '.join(settings)} among them," if settings else ""
    curve = "" if _RATE.search(source.text) else "; log the learning rate at each step, too"
    return Finding(
        at=call.func,
        message=f"`{source.code(call.func)}` keeps a run whose hyper-parameters{names} are not logged, so that runs "
        f"cannot be compared; give them to {remedy} with the final metrics{curve}",
        confidence=Confidence.LIKELY,
    )


def _settings(source: Source) -> list[str]:
    """What the optimizers of the file are given by name, in plain words."""
    roles = source.fact(Roles)
    given: dict[str, None] = {}
    for step in source.fact(Traces).steps():
        part = roles.part(step.path, step.node)
        if part.role is Role.OPTIMIZER and part.constructor is not None:
            given.update((each.keyword.value, None) for each in part.constructor.args if each.keyword is not None)
    return [words for name, words in _SETTINGS.items() if name in given]
