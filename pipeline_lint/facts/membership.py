"""Whether a class is a model or a dataset, as far as its ancestry shows, and how sure that is."""

from __future__ import annotations

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts import torch_api
from pipeline_lint.facts.modules import LOCAL, ClassSummary
from pipeline_lint.facts.project import Project

_OTHER_DATASETS = frozenset({"datasets", "h5py", "megengine", "mindspore", "paddle"})
"""Packages whose datasets are not torch's."""


def module_confidence(project: Project, summary: ClassSummary) -> Confidence | None:
    """How sure it is that a class is an `nn.Module`; None when it is not.

    Likely when a base is out of reach, but the class keeps layers of `torch.nn` in its attributes.
    """
    lineage = project.lineage(summary)
    if lineage.inherits(torch_api.MODULE_ROOTS):
        return Confidence.CERTAIN
    if not lineage.unknown:
        return None
    constructors = (path for each in lineage.classes for path in each.constructors.values())
    return Confidence.LIKELY if any(path in torch_api.MODULE_ROOTS for path in constructors) else None


def dataset_confidence(project: Project, summary: ClassSummary) -> Confidence | None:
    """How sure it is that a class is a dataset of torch; None when it is not.

    Likely when a base out of reach calls itself a dataset.
    """
    lineage = project.lineage(summary)
    if lineage.inherits(torch_api.MAP_DATASET_ROOTS | torch_api.ITERABLE_DATASET_ROOTS):
        return Confidence.CERTAIN
    is_likely = any(
        base.rpartition(".")[2].lstrip(LOCAL).endswith("Dataset") and base.partition(".")[0] not in _OTHER_DATASETS
        for base in lineage.unknown
    )
    return Confidence.LIKELY if is_likely else None
