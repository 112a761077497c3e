"""Optimizers that divide by the root of the mean squared gradient plus an epsilon, in torch and other packages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.names import Names
from pipeline_lint.source import Source


@dataclass(frozen=True, slots=True)
class AdaptiveOptimizer:
    """An optimizer of this kind as its constructor is known."""

    name: str
    default_eps: float | None = None
    """None where it is not known, or where the division is done in float32 whatever the parameters are."""
    eps_position: int | None = None
    """Among the positional arguments; None where only the keyword is certain."""


@dataclass(frozen=True, slots=True, eq=False)
class EpsilonUse:
    """An optimizer that is built, with the epsilon that it is given, or that one group of parameters is given."""

    optimizer: AdaptiveOptimizer
    call: cst.Call
    eps: cst.BaseExpression | None
    keyword: str = "eps"

    @property
    def value(self) -> float | None:
        """The epsilon as a number: the default where none is given, None for one that is computed."""
        if self.eps is None:
            return self.optimizer.default_eps
        return float(self.eps.evaluated_value) if isinstance(self.eps, cst.Integer | cst.Float) else None


_PACKAGES = frozenset({"apex", "bitsandbytes", "pytorch_optimizer", "timm", "torch_optimizer", "transformers"})
_FAMILY = re.compile(
    r"(?:Fused|Paged|CPU|DeepSpeedCPU)?"
    r"(?:[NR]?Adam(?:W|P|S|C)?(?:_?8bit|_?32bit|Legacy)?|Ada[mM]ax|AdaMod|AdaNorm|AdaBound|Adan|AdEMAMix\w*|DiffGrad|"
    r"QHAdam|Lamb|LAMB\w*|NovoGrad|Adagrad\w*|AdaGrad\w*|Adadelta|AdaDelta|RMS[pP]rop\w*|StableAdamW|Yogi)"
)
"""Names of the optimizers whose epsilon is added to the root, as Adam's is. AdaBelief, Adafactor, LaProp, Sophia and
others have theirs elsewhere, and much smaller."""
_IN_PARAMETER_DTYPE = frozenset(
    {"AdaMax", "AdaMod", "AdaNorm", "AdamP", "AdamWLegacy", "Adan", "DiffGrad", "NAdamLegacy", "NAdamW", "QHAdam"}
)
"""Optimizers of timm, torch_optimizer and pytorch_optimizer, with eps=1e-8, that give NaN for float16 parameters."""

_TORCH: Mapping[str, AdaptiveOptimizer] = {
    **{
        name: AdaptiveOptimizer(name, 1e-8, 3)
        for name in ("Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "SparseAdam")
    },
    "Adadelta": AdaptiveOptimizer("Adadelta", 1e-6, 3),
    "Adagrad": AdaptiveOptimizer("Adagrad", 1e-10, 5),
}

_SETTINGS: Mapping[str, str] = {
    f"transformers.{name}": "adam_epsilon" for name in ("Seq2SeqTrainingArguments", "TrainingArguments")
}
"""Settings of trainers that build Adam, and the keyword of its epsilon."""


def adaptive_optimizers(source: Source) -> Iterator[EpsilonUse]:
    """The optimizers that a file builds, also through `functools.partial`."""
    names = source.fact(Names)
    for call in source.nodes(cst.Call):
        function, arguments = call.func, call.args
        if called_name(call) == "partial" and arguments and arguments[0].keyword is None:
            function, arguments = arguments[0].value, arguments[1:]
        path = names.resolve(function)
        if path is None:
            continue
        if path in _SETTINGS:
            eps = _argument(arguments, _SETTINGS[path], None)
            yield EpsilonUse(AdaptiveOptimizer("Adam"), call, eps, _SETTINGS[path])
            continue
        optimizer = adaptive_optimizer(path)
        if optimizer is not None:
            yield EpsilonUse(optimizer, call, _argument(arguments, "eps", optimizer.eps_position))
            for eps in _group_epsilons(arguments):
                yield EpsilonUse(optimizer, call, eps)


def adaptive_optimizer(path: str) -> AdaptiveOptimizer | None:
    """What is known of the optimizer that a dotted path names: `torch.optim.Adam`, `timm.optim.NAdamW`."""
    name = path.rpartition(".")[2]
    if path.startswith("torch.optim."):
        return _TORCH.get(name)
    if path.partition(".")[0] not in _PACKAGES or not _FAMILY.fullmatch(name):
        return None
    return AdaptiveOptimizer(name, 1e-8 if name in _IN_PARAMETER_DTYPE else None)


def _argument(arguments: Sequence[cst.Arg], keyword: str, position: int | None) -> cst.BaseExpression | None:
    for index, argument in enumerate(arguments):
        if argument.star:
            position = None
        if argument.keyword is not None and argument.keyword.value == keyword:
            return argument.value
        if index == position and argument.keyword is None:
            return argument.value
    return None


def _group_epsilons(arguments: Sequence[cst.Arg]) -> Iterator[cst.BaseExpression]:
    """The epsilons that groups of parameters have of their own."""
    groups = arguments[0].value if arguments else None
    for group in groups.elements if isinstance(groups, cst.List) else ():
        for entry in group.value.elements if isinstance(group.value, cst.Dict) else ():
            match entry:
                case cst.DictElement(key=cst.SimpleString() as key, value=value) if key.evaluated_value == "eps":
                    yield value
