"""Whether a gradient may flow back through a piece of code: what the rules about gradients are silent without.

A value that nobody differentiates may be at the edge of an operation's domain without harm: a metric, a plot, a target,
the preparation of data. The names of functions, classes and files say so where no `no_grad` does.
"""

from __future__ import annotations

import re
from pathlib import PurePath

import libcst as cst

from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.source import Source

_NOT_TRAINED = re.compile(
    r"(^|_)(eval|evaluate|evaluation|valid|validate|validation|test|tests|predict|prediction|infer|inference|metric|metrics"
    r"|accuracy|plot|draw|visuali[sz]e|show|report|summary|print|preprocess|postprocess|nms|decode|generate|export"
    r"|benchmark|profile|callback|init|reset|build|setup|load|save|schedule|scheduler|augment|augmentation|transform"
    r"|transforms|collate|dataset|datasets|demo|stats|statistics|miou|fid|psnr|ssim_metric)(_|$)",
    re.IGNORECASE,
)
_CLASSES_NOT_TRAINED = re.compile(
    r"(Metric|Metrics|Dataset|DataModule|Loader|Sampler|Transform|Augment\w*|Callback|Logger|Scheduler|Schedule|Optimizer"
    r"|Processor|Evaluator|Meter|Monitor|Tracker|Tokenizer|Pipeline|Exporter|Visuali[sz]er|Test\w*|Trainer\w*Callback)$"
)
_DIFFERENTIABLE = ("nn.", "backward", "loss", "Loss", "grad", "Module", "Function")


def may_be_differentiated(source: Source, site: Site) -> bool:
    """Whether a gradient may flow through an operation, as far as its operands and the names around it tell."""
    return site.has_gradient and is_trained_code(source, site.node)


def is_trained_code(source: Source, node: cst.CSTNode) -> bool:
    """Whether the code at a node may be a part of what is trained: a model, a loss, a function that either can use."""
    if not any(word in source.text for word in _DIFFERENTIABLE):
        return False
    path = PurePath(source.path)
    if any(_NOT_TRAINED.search(part) for part in (path.stem, path.parent.name)):
        return False
    for above in source.ancestors(node):
        if isinstance(above, cst.FunctionDef) and _NOT_TRAINED.search(above.name.value.strip("_")):
            return False
        if isinstance(above, cst.ClassDef):
            names = [above.name.value, *(_last_name(base.value) for base in above.bases)]
            if any(_CLASSES_NOT_TRAINED.search(name) for name in names):
                return False
    return True


def is_optimizer_code(source: Source, node: cst.CSTNode) -> bool:
    """Whether a node stands in an optimizer, whose own roots and divisions are guarded by its epsilon."""
    return any(
        isinstance(above, cst.ClassDef)
        and any("Optim" in name for name in (above.name.value, *(_last_name(base.value) for base in above.bases)))
        for above in source.ancestors(node)
    )


def _last_name(node: cst.BaseExpression) -> str:
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return node.value if isinstance(node, cst.Name) else ""
