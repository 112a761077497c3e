"""Whether a class is a model or a dataset, as far as its ancestry shows, and how sure that is."""

from __future__ import annotations

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts import torch_api
from pipeline_lint.facts.modules import ClassSummary
from pipeline_lint.facts.project import Lineage, Project

_MODULE_PACKAGES = ("torchvision.models.", "torchvision.ops.", "torchvision.transforms.")
_DATASET_PACKAGES = ("torchvision.datasets.",)
"""Where every class to inherit is a module, or a dataset."""
_OTHER_DATASETS = frozenset({"datasets", "h5py", "megengine", "mindspore", "paddle"})
"""Packages whose datasets are not torch's."""


def module_confidence(project: Project, summary: ClassSummary) -> Confidence | None:
    """How sure it is that a class is an `nn.Module`; None when it is not.

    Likely when a base is out of reach, but the class keeps layers of `torch.nn` in its attributes.
    """
    lineage = project.lineage(summary)
    if lineage.inherits(torch_api.MODULE_ROOTS) or _is_below(_MODULE_PACKAGES, lineage):
        return Confidence.CERTAIN
    if not lineage.unknown:
        return None
    constructors = (path for each in lineage.classes for path in each.constructors.values())
    return Confidence.LIKELY if any(path in torch_api.MODULE_ROOTS for path in constructors) else None


def dataset_confidence(project: Project, summary: ClassSummary) -> Confidence | None:
    """How sure it is that a class is a dataset of torch; None when it is not.

    Likely when a base out of reach calls itself a dataset, or the class does and has a length: `DataLoader` takes any
    object with `__getitem__` and `__len__`.
    """
    lineage = project.lineage(summary)
    roots = torch_api.MAP_DATASET_ROOTS | torch_api.ITERABLE_DATASET_ROOTS
    if lineage.inherits(roots) or _is_below(_DATASET_PACKAGES, lineage):
        return Confidence.CERTAIN
    is_complete = {"__getitem__", "__len__"} <= {method for each in lineage.classes for method in each.methods}
    names = [summary.name] if is_complete and not lineage.external else []
    names += [base for base in lineage.unknown if base.partition(".")[0] not in _OTHER_DATASETS]
    return Confidence.LIKELY if any(name.endswith("Dataset") for name in names) else None


def _is_below(packages: tuple[str, ...], lineage: Lineage) -> bool:
    return any(path.startswith(packages) for path in lineage.external)
