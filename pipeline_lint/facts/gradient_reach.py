"""Whether a gradient may flow back through a piece of code: what the rules about gradients are silent without.

A value that nobody differentiates may be at the edge of an operation's domain without harm: a metric, a plot, a target,
the preparation of data. The names of functions, classes and files say so where no `no_grad` does.
"""

from __future__ import annotations

import re
from pathlib import PurePath

import libcst as cst

from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import NUMBER
from pipeline_lint.source import Source

_NOT_TRAINED = re.compile(
    r"(^|_)(eval|evaluate|evaluation|valid|validate|validation|test|tests|predict|prediction|infer|inference"
    r"|metric|metrics|accuracy|plot|draw|visuali[sz]e|show|report|summary|print|preprocess|postprocess|nms"
    r"|decode|generate|export|benchmark|profile|callback|init|reset|build|setup|load|save|schedule|scheduler"
    r"|augment|augmentation|transform|transforms|generation|ransac|loader|collate|dataset|datasets|demo|statistics"
    r"|processing|preprocessing|feature_extraction|exporter|clip_grad|grad_norm|data_utils|miou|fid|psnr"
    r"|ssim_metric)(_|$)",
    re.IGNORECASE,
)
_FOLDERS_NOT_TRAINED = frozenset(
    "metric metrics augmentation augmentations transforms datasets preprocessing evaluation tests benchmarks".split()
)
"""Of packages, whose folders may be nested."""
_CLASSES_NOT_TRAINED = re.compile(
    r"(Metric|Metrics|Dataset|DataModule|Loader|Sampler|Transform|Augment\w*|Callback|Logger|Scheduler|Schedule|Optimizer"
    r"|Processor|Evaluator|Meter|Monitor|Tracker|Tokenizer|Pipeline|Exporter|Visuali[sz]er|Test\w*|Trainer\w*Callback)$"
)
_DIFFERENTIABLE = ("nn.", "backward", "loss", "Loss", "grad", "Module", "Function")

_OTHER_PURPOSES = frozenset(
    "numpy cv2 PIL pandas matplotlib scipy sklearn argparse tqdm json os sys logging requests onnx click yaml".split()
)
_LOSING_METHODS = frozenset(
    "detach detach_ item tolist numpy long int bool byte argmax argmin argsort bucketize".split()
)
_LOSING_BUILTINS = frozenset({"int", "float", "round", "bool", "len", "print", "str"})
_GIVEN = re.compile(
    r"^(gt|gt_\w+|\w+_gt|targets?|labels?|ground_?truths?|y_true|counts?|deg|degrees?|num_\w+|lengths?)$"
    r"|(^|_)(log_?snr|snr|alphas?_?(cum)?prod\w*|alphas?_bars?|betas?_?prod\w*|sigma_?data\w*|noise_level\w*|timesteps?"
    r"|schedulers?)(_|$)",
    re.IGNORECASE,
)
"""Names of what is given and not learned: targets, counts, and what a noise schedule says."""
_FORWARD_METHODS = frozenset({"forward", "training_step", "loss"})


def may_be_differentiated(source: Source, site: Site) -> bool:
    """Whether a gradient may flow through an operation, as far as its operands and the names around it tell."""
    if not site.has_gradient or not is_trained_code(source, site.node) or _is_of_function(source, site.node):
        return False
    return not loses_gradient(source, site.node) and not _is_of_given(site)


def _is_of_function(source: Source, node: cst.CSTNode) -> bool:
    """Whether a node stands in a `torch.autograd.Function`, whose gradient is written by hand."""
    owner = source.enclosing(node, cst.ClassDef)
    return owner is not None and any(_last_name(base.value) == "Function" for base in owner.bases)


def is_test_code(source: Source) -> bool:
    """Whether a file holds tests, which compute by hand what they compare with."""
    path = PurePath(source.path)
    return path.stem.startswith("test_") or path.stem.endswith("_test") or "tests" in path.parts[:-1]


def _is_of_given(site: Site) -> bool:
    tensors = [node for name, node in site.operands.items() if site.values[name].kind != NUMBER]
    return bool(tensors) and all(map(is_given, tensors))


def loses_gradient(source: Source, node: cst.CSTNode) -> bool:
    """Whether the expression around a node makes of it what has no gradient: a number, an index, a detached tensor."""
    below = node
    for above in source.ancestors(node):
        match above:
            case cst.Attribute(attr=cst.Name(value="data")):
                return True
            case cst.Call(func=cst.Attribute(attr=cst.Name(value=name))) if name in _LOSING_METHODS:
                return True
            case cst.Call(func=cst.Name(value=name)) if name in _LOSING_BUILTINS:
                return True
            case cst.Comparison() | cst.ComparisonTarget():
                return True
            case cst.Subscript(value=value) if value is not below:
                return True
            case cst.BaseExpression() | cst.Arg() | cst.Element() | cst.SubscriptElement() | cst.Index():
                below = above
            case _:
                return False
    return False


def is_given(node: cst.BaseExpression) -> bool:
    """Whether an expression is of numbers and of names that say that nothing of it is learned."""
    match node:
        case cst.Name(value=name):
            return _GIVEN.search(name) is not None
        case cst.Attribute(value=value, attr=cst.Name(value=name)):
            return _GIVEN.search(name) is not None or is_given(value)
        case cst.Call(func=cst.Attribute() as function):
            return is_given(function)
        case cst.Call(func=cst.Name(), args=arguments):
            return bool(arguments) and all(is_given(argument.value) for argument in arguments)
        case cst.Subscript(value=value):
            return is_given(value)
        case cst.BinaryOperation(left=left, right=right):
            sides = [each for each in (left, right) if not isinstance(each, cst.BaseNumber)]
            return bool(sides) and all(map(is_given, sides))
        case cst.UnaryOperation(expression=inner):
            return is_given(inner)
    return False


def is_trained_code(source: Source, node: cst.CSTNode) -> bool:
    """Whether the code at a node may be a part of what is trained: a model, a loss, a function that either can use."""
    if not any(word in source.text for word in _DIFFERENTIABLE) and not source.fact(_is_torch_alone):
        return False
    path = PurePath(source.path)
    if any(_NOT_TRAINED.search(part) for part in (path.stem, path.parent.name)):
        return False
    if any(part.lower().endswith("metrics") for part in path.parts[:-1]):
        return False
    if not _FOLDERS_NOT_TRAINED.isdisjoint(path.parts[-4:-1]):
        return False
    for above in source.ancestors(node):
        if isinstance(above, cst.FunctionDef) and _NOT_TRAINED.search(above.name.value.strip("_")):
            return False
        if isinstance(above, cst.ClassDef):
            names = [above.name.value, *(_last_name(base.value) for base in above.bases)]
            if any(_CLASSES_NOT_TRAINED.search(name) for name in names):
                return False
    return True


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
            return any(
                isinstance(statement, cst.FunctionDef) and statement.name.value in _FORWARD_METHODS
                for statement in above.body.body
            )
    return False


def is_optimizer_code(source: Source, node: cst.CSTNode) -> bool:
    """Whether a node stands in an optimizer, whose own roots and divisions are guarded by its epsilon."""
    path = PurePath(source.path)
    if any("optim" in part for part in (path.stem, path.parent.name)):
        return True
    return any(
        isinstance(above, cst.ClassDef)
        and any("Optim" in name for name in (above.name.value, *(_last_name(base.value) for base in above.bases)))
        for above in source.ancestors(node)
    )


def _last_name(node: cst.BaseExpression) -> str:
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return node.value if isinstance(node, cst.Name) else ""
