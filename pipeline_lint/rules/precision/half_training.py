"""TRN306: parameters in float16 that an optimizer trains."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.half.half_parameters import HalfParameters
from pipeline_lint.facts.trained_code import is_test_code
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_KEEPS_FLOAT32 = re.compile(
    r"FP16_Optimizer|fp16_optimizer|fp16_utils|[Dd]eep[Ss]peed|apex|master_(?:param|weight)|[Ll]o[Rr][Aa]|peft|[Aa]dapter"
)
"""Words of files in which the optimizer is given float32 copies, or float32 layers beside a float16 model."""


class HalfTraining(Rule):
    """An optimizer is given float16 weights, which are too coarse to take small steps.

    float16 has eleven bits: the next number above 1.0 is 1.00098, so a weight of 1.0 that is to move by less than
    4.8e-4 does not move at all. With a learning rate of 1e-4 and a gradient of 1.0 a thousand SGD steps from 1.0 end at
    1.0 instead of 0.9. Gradients below 6e-8 are 0, and the squares that Adam keeps are 0 for gradients below 2e-4.

    Keep the weights in float32 and run the forward pass under `torch.autocast` with a `torch.amp.GradScaler`; or train
    in bfloat16 under autocast, which needs no scaler.

    Bad:
        import torch

        def make_optimizer(model):
            model = model.half()
            return torch.optim.SGD(model.parameters(), lr=1e-4)
    Good:
        import torch

        def make_optimizer(model):
            return torch.optim.SGD(model.parameters(), lr=1e-4)
    Exempt: files with what keeps float32 copies (FP16_Optimizer, DeepSpeed, apex, master weights) or trains adapters in
        float32 (LoRA); bfloat16; a cast that another follows before the optimizer; tensors that are no parameters of
        a module; tests.
    Fix: None: where autocast begins and the scaler goes is for the training loop to say; `missing-loss-scaling` helps
        with the latter.
    Source: P. Micikevicius et al., "Mixed Precision Training" (2018); the figures were measured with torch 2.13 on CPU.
    """

    code = "TRN306"
    triggers = ("half", "float16")

    def check(self, source: Source) -> Iterator[Finding]:
        """Optimizers of torch whose parameters were cast to float16 before."""
        if is_test_code(source) or _KEEPS_FLOAT32.search(source.text):
            return
        names = source.fact(Names)
        for call in source.nodes(cst.Call):
            path = names.resolve(call.func) or ""
            if not path.startswith("torch.optim.") or ".lr_scheduler" in path or not call.args or call.args[0].star:
                continue
            half = source.fact(HalfParameters).among(call.args[0].value)
            if half is not None and "param" in source.code(call.args[0].value):
                yield Finding(
                    at=call.func,
                    message=f"`{path.rpartition('.')[2]}` trains float16 weights, for which a step below 5e-4 of a "
                    "weight is no step; keep them in float32 and use `torch.autocast` with a `GradScaler`",
                    confidence=Confidence.CERTAIN if half.is_certain else Confidence.LIKELY,
                    witness="a float16 weight of 1.0 with gradient 1.0 is still 1.0 after a thousand steps of 1e-4",
                    related=((source.place(half.node), "float16 from here on"),),
                )
