"""What a piece of code is for, as far as names tell: a model or a loss that is trained, or metrics, data, plots.

The names of functions, classes, files and folders say so.
"""

from __future__ import annotations

import re
from pathlib import PurePath

import libcst as cst

from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.source import Source

_NOT_TRAINED = re.compile(
    r"(^|_)(eval|evaluate|evaluation|valid|validate|validation|test|tests|predict|prediction|infer|inference"
    r"|metric|metrics|accuracy|plot|draw|viz|visuali[sz](e|er|ation)|show|report|summary|print|preprocess|postprocess|nms"
    r"|decode|generate|export|benchmark|profile|callback|init|reset|build|setup|load|save|schedule|scheduler"
    r"|augment|augmentation|transform|transforms|generation|ransac|loader|collate|dataset|datasets|demo|statistics"
    r"|processing|preprocessing|feature_extraction|exporter|clip_grad|grad_norm|data_utils|miou|fid|psnr"
    r"|ssim_metric|running_stats|calibrate|influence|attribution|saliency|explainers?)(_|$)"
    r"|(^|_)(make|create|get|build|compute|assign)_(\w+_)?(labels?|targets?)$",
    re.IGNORECASE,
)
_FOLDERS_NOT_TRAINED = frozenset(
    """metric metrics augmentation augmentations transforms datasets preprocessing evaluation tests benchmarks
    samplers sampling inferers pipelines quantizers""".split()
)
"""Of packages, whose folders may be nested."""
_CLASSES_NOT_TRAINED = re.compile(
    r"(Metric|Metrics|Dataset|DataModule|Loader|Sampler|Transform|Augment\w*|Callback|Logger|Scheduler|Schedule|Optimizer"
    r"|Processor|Evaluator|Meter|Monitor|Tracker|Tokenizer|Pipeline|Exporter|Visuali[sz]er|Test\w*|Trainer\w*Callback)$"
)
_DIFFERENTIABLE = ("nn.", "backward", "loss", "Loss", "grad", "Module", "Function")

_SAMPLER = re.compile(r"schedul(er|ing)s?|samplers?(?![a-z])|pipelines?(?![a-z])|solvers?(?![a-z])", re.IGNORECASE)
_GENERATION = re.compile(r"(^|_)(generate|generation|sample|decode|beam|search)(_|$)", re.IGNORECASE)
_GENERATING = re.compile(r"(Search|Sampling|Sampler|Beam|Beams|Translator|Generation|Decoding)$")
_MODULE = re.compile(r"(Module|Model|Layer|Loss|Net|Base\w*|Criterion|Distribution)$")
_BEAM = re.compile(r"\bbeam(s|_size|_width)?\b")
_OTHER_PURPOSES = frozenset(
    "numpy cv2 PIL pandas matplotlib scipy sklearn argparse tqdm json os sys logging requests onnx click yaml".split()
)
_EXAMPLES = frozenset("example examples tutorial tutorials demo demos".split())
_TESTS = frozenset({"test", "tests"})
_FORWARD_METHODS = frozenset({"forward", "training_step", "loss"})


def is_test_code(source: Source) -> bool:
    """Whether a file holds tests, which compute by hand what they compare with."""
    path = PurePath(source.path)
    return path.stem.startswith("test_") or path.stem.endswith("_test") or not _TESTS.isdisjoint(path.parts[:-1])


def is_example_code(source: Source) -> bool:
    """Whether a file is an example, which runs as it stands there."""
    return not _EXAMPLES.isdisjoint(PurePath(source.path).parts[:-1])


def is_trained_code(source: Source, node: cst.CSTNode) -> bool:
    """Whether the code at a node may be a part of what is trained: a model, a loss, a function that either can use."""
    if not any(word in source.text for word in _DIFFERENTIABLE) and not source.fact(_is_torch_alone):
        return False
    return not is_named_for_another_purpose(source, node)


def is_named_for_another_purpose(source: Source, node: cst.CSTNode) -> bool:
    """Whether the names of the file, function or class say metric, plot, data, test, and nothing that is trained."""
    path = PurePath(source.path)
    if any(_NOT_TRAINED.search(part) for part in (path.stem, path.parent.name)):
        return True
    if any(part.lower().endswith("metrics") for part in path.parts[:-1]):
        return True
    if not _FOLDERS_NOT_TRAINED.isdisjoint(path.parts[-4:-1]) or path.stem in ("stat", "stats"):
        return True
    # Not a disk of that name, at the top of a path.
    folders = path.parts[2:] if path.is_absolute() else path.parts
    if "data" in folders[-3:-1]:
        return True
    is_sample = False
    for above in source.ancestors(node):
        if isinstance(above, cst.FunctionDef):
            if _NOT_TRAINED.search(above.name.value.strip("_")):
                return True
            is_sample = above.name.value == "sample"
        if isinstance(above, cst.ClassDef):
            names = [above.name.value, *(last_name(base.value) for base in above.bases)]
            if any(_CLASSES_NOT_TRAINED.search(name) for name in names):
                return True
            if any(name.endswith("FeatureExtractor") for name in names) and not _has_forward(above):
                # One that is no network prepares the data.
                return True
            if is_sample and any(name.endswith("Distribution") for name in names):
                # `rsample` is the one with a gradient.
                return True
    return False


def _is_torch_alone(source: Source) -> bool:
    """Whether a file of functions is about tensors and nothing else, so that anybody may differentiate through it."""
    imports = re.findall(r"^\s*(?:import|from) ([\w.]+)", source.text, re.MULTILINE)
    roots = {path.partition(".")[0] for path in imports if not path.startswith(".")}
    return any(root.startswith("torch") for root in roots) and roots.isdisjoint(_OTHER_PURPOSES)


def is_model_or_loss(source: Source, node: cst.CSTNode) -> bool:
    """Whether a node stands in a module or a loss, through which gradients do flow."""
    for above in source.ancestors(node):
        if isinstance(above, cst.FunctionDef) and "loss" in above.name.value.lower():
            return True
        if isinstance(above, cst.ClassDef):
            return _has_forward(above)
    return False


def is_generation_code(source: Source, node: cst.CSTNode) -> bool:
    """Whether a node stands in what picks tokens by their scores, as the names of its function and folder say."""
    if _GENERATION.search(PurePath(source.path).parent.name) is not None:
        return True
    for above in source.ancestors(node):
        if isinstance(above, cst.FunctionDef) and _GENERATION.search(above.name.value) is not None:
            return True
        if isinstance(above, cst.ClassDef) and _GENERATING.search(above.name.value) is not None:
            return True
    function = source.enclosing(node, cst.FunctionDef)
    return function is not None and _BEAM.search(source.module.code_for_node(function)) is not None


def is_sampler_code(source: Source, node: cst.CSTNode) -> bool:
    """Whether a node stands in what steps through a noise schedule, as files and classes are named."""
    names = [part.removesuffix(".py") for part in PurePath(source.path).parts[-3:]]
    owner = source.enclosing(node, cst.ClassDef)
    return any(_SAMPLER.search(name) for name in (*names, owner.name.value if owner is not None else ""))


def is_near_models(source: Source, node: cst.CSTNode) -> bool:
    """Whether a node is of a model or loss, beside one in its file, or in a file that is about tensors alone."""
    if is_model_or_loss(source, node) or is_loss(source, node):
        return True
    owner = source.enclosing(node, cst.ClassDef)
    if is_example_code(source) or (owner is not None and not _is_of_modules(owner)):
        # A class that is no module holds boxes, steps through a schedule, plays a game.
        return False
    if source.fact(_is_torch_alone):
        return True
    return any(
        _has_forward(owner) or any(last_name(base.value).endswith("Module") for base in owner.bases)
        for owner in source.nodes(cst.ClassDef)
    )


def is_differentiated(source: Source, node: cst.CSTNode) -> bool:
    """Whether gradients flow where a node stands: in a model or a loss, or among functions of tensors alone.

    A function beside models prepares targets or graphs as often as it is a part of them.
    """
    if is_model_or_loss(source, node) or is_loss(source, node):
        return True
    function = source.function_of(node)
    if isinstance(function, cst.FunctionDef) and function.name.value in source.fact(_called_by_models):
        return True
    if '"__main__"' in source.text or "'__main__'" in source.text:
        # A script's functions are its own, and what it trains is a model or a loss.
        return False
    return source.fact(_is_torch_alone) and not any(_has_forward(owner) for owner in source.nodes(cst.ClassDef))


def _called_by_models(source: Source) -> frozenset[str]:
    """The names of functions that modules of the file call."""
    owners = {id(owner) for owner in source.nodes(cst.ClassDef) if _has_forward(owner)}
    return frozenset(
        call.func.value
        for call in source.nodes(cst.Call)
        if isinstance(call.func, cst.Name) and id(source.enclosing(call, cst.ClassDef)) in owners
    )


def is_loss(source: Source, node: cst.CSTNode) -> bool:
    """Whether a node stands in a file, a class or a function that is named after a loss."""
    names = [above.name.value for above in source.ancestors(node) if isinstance(above, cst.FunctionDef | cst.ClassDef)]
    return any("loss" in name.lower() for name in (PurePath(source.path).stem, *names))


def _is_of_modules(owner: cst.ClassDef) -> bool:
    return any(_MODULE.search(last_name(base.value)) is not None for base in owner.bases)


def _has_forward(owner: cst.ClassDef) -> bool:
    return any(
        isinstance(statement, cst.FunctionDef) and statement.name.value in _FORWARD_METHODS
        for statement in owner.body.body
    )


def is_optimizer_code(source: Source, node: cst.CSTNode) -> bool:
    """Whether a node stands in an optimizer, whose own roots and divisions are guarded by its epsilon."""
    path = PurePath(source.path)
    if any("optim" in part for part in (path.stem, path.parent.name)):
        return True
    return any(
        isinstance(above, cst.ClassDef)
        and any("Optim" in name for name in (above.name.value, *(last_name(base.value) for base in above.bases)))
        for above in source.ancestors(node)
    )
