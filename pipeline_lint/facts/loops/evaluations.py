"""Where a model is evaluated rather than trained: loops over validation data, functions that are called so.

A place is summarized with what its own file says about `eval()` and `no_grad`; callers in other files may add to it, so
a rule joins the summaries of all files (`TRN403`).
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import libcst as cst

from pipeline_lint.diagnostic import Edit, Place
from pipeline_lint.edits import insert_before
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.code.frameworks import is_of_another_framework
from pipeline_lint.facts.code.names import Names, dotted_name, imported_module
from pipeline_lint.facts.loops.actions import parameter_mapping
from pipeline_lint.facts.loops.gradient_mode import GradientMode, is_no_gradient
from pipeline_lint.facts.loops.module_calls import ModuleCalls
from pipeline_lint.facts.loops.roles import path_of
from pipeline_lint.facts.modules import Modules
from pipeline_lint.facts.trained_code import is_test_code
from pipeline_lint.source import Source, UnknownPosition

_EVALUATION = re.compile(
    r"(^|_)(eval|evaluate|evaluation|test|tests|testing|valid|validate|validation|val|infer|inference|predict|prediction"
    r"|predictions|predict_\w+)(_|$|\d)|(^|_)(do|run)_(eval|test|val)",
    re.IGNORECASE,
)
_TRAINING = re.compile(
    r"train|fit|update|optimi|learn|step|loss|fuzz|forward|setup|build|init|main|get_", re.IGNORECASE
)
_EVALUATION_DATA = re.compile(
    r"(^|_)(val|valid|validation|test|eval|dev|testing)(_?(loader|dl|dataloader|data|iter|iterator|generator|batches"
    r"|queue|dataset|set|gen|ds|batch_generator))(_|$|s$|\d)|(^|_)(val|valid|validation|test|eval)(loader|dataloader|set|iter)",
    re.IGNORECASE,
)
_HELD_OUT = re.compile(r"^(val|valid|validation|dev|test)s?$", re.IGNORECASE)
"""Names that say it of what a loop runs over, and of nothing else."""
_DATA = re.compile(r"loader|dataloader|(^|_)(dl|batches|data_iter|dataset|iterator)(_|$)", re.IGNORECASE)
_DIFFERENTIATES = re.compile(r"backward\(|autograd\.grad|requires_grad|retain_graph|attack|saliency|grad_?cam|\.grad\b")
_BASES_OF_FRAMEWORKS = re.compile(
    r"Lightning|Trainer|Learner|Callback|Runner|Model$|Task|Recipe|Brain|Engine|Handler|Pipeline|Metric|Estimator|Program"
)
_FRAMEWORK_METHODS = re.compile(
    r"(^|_)(training|validation|test|val|eval|predict)_(step|epoch_end|batch)|^on_|_step$|_hook$"
)
_REGULARIZED = re.compile(
    r"[Dd]ropout|[Bb]atch_?[Nn]orm|\bbn\d?\b|DropPath|drop_prob|InstanceNorm"
    r"|resnet|ResNet|models\.|pretrained|timm|create_model"
)
_CHAINED = frozenset(
    """argmax clone contiguous cpu detach double exp flatten float max mean numpy permute reshape round sigmoid softmax
    squeeze to topk transpose unsqueeze view""".split()
)
_COLLECTS = re.compile(
    r"eval|test|valid|infer|predict|plot|sampl|save|show|draw|visuali|extract|feat|embed|latent|represent|generate"
    r"|encode|decode|reconstruct|slide|score|transcri|translate|detect",
    re.IGNORECASE,
)
_EVAL_BLOCK = re.compile(r"(^|[._])(eval|evaluat)\w*\(")
_MOST_CALLS = 4
"""How many calls lie between a function and what decides on its mode, at most."""
_TRAINS = re.compile(r"\.train\(|backward\(|optim\.[A-Z]|[Oo]ptimizer\(")
_MADE_UP = re.compile(r"torch\.(rand|randn|randint|ones|zeros|empty)\(")
_LIBRARY = re.compile(r"resnet|ResNet|models\.\w+\(|timm|create_model|pretrained")
_COMMENT = re.compile(r"#.*")
_LOADED = re.compile(r"load_state_dict|torch\.load\(|from_pretrained|load_model|load_checkpoint|restore")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A function, or a loop of a script, that evaluates a model."""

    place: Place
    """The first call of the model."""
    model: str
    name: str
    """The function's name; empty for the module's own code."""
    is_named: bool
    """Whether the function's name says that it evaluates; else the name of the data does."""
    lacks_eval: bool
    lacks_no_grad: bool
    is_called: bool
    """Whether the file calls the function."""
    is_trained: bool
    """Whether the same file trains."""
    is_loaded: bool = False
    """Whether it is a model whose weights are loaded, in a script that does nothing else."""
    built_by: str = ""
    """The path of the class that builds the model, where it is from another file."""
    method: str = ""
    """The method of the model that is called, where it is not the model itself."""
    no_grad: Edit | None = None
    """The edits that add what is missing."""
    no_grad_import: tuple[Edit, ...] = ()
    eval_mode: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class FileEvaluations:
    """What a file evaluates, and how it calls functions that may."""

    found: tuple[Evaluation, ...] = ()
    imported: frozenset[str] = frozenset()
    """The words of the modules that the file imports from, also in functions."""
    without_gradient: frozenset[str] = frozenset()
    """The functions that are decorated with `no_grad` or the like."""
    is_regularized: bool = True
    """Whether anything in the file may work otherwise in training than in evaluation."""
    calls: Mapping[str, tuple[bool, bool]] | None = None
    """By the name of a called function: whether some call stands below an `eval()`, and whether one under `no_grad`."""


def summarize_evaluations(source: Source) -> FileEvaluations:
    """The evaluations of a file, for `TRN403`."""
    if ("torch" not in source.text and "backward(" not in source.text) or is_of_another_framework(source):
        return FileEvaluations()
    finder = _Finder(source)
    found = () if is_test_code(source) else tuple(finder.evaluations())
    decorated = frozenset(
        function.name.value
        for function in source.nodes(cst.FunctionDef)
        if any(is_no_gradient(each.decorator) for each in function.decorators)
    )
    imported = frozenset(
        word for each in source.nodes(cst.ImportFrom) for word in imported_module(each).split(".") if word
    )
    return FileEvaluations(found, imported, decorated, _REGULARIZED.search(source.text) is not None, finder.calls())


class _Finder:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._mode = source.fact(GradientMode)
        self._models = source.fact(ModuleCalls)
        self._calls: dict[str, list[cst.Call]] = defaultdict(list)
        self._evals: dict[int, list[cst.Call]] = defaultdict(list)
        for call in source.nodes(cst.Call):
            name = called_name(call)
            self._calls[name].append(call)
            if name in ("eval", "train") and _switches_to_eval(call, name):
                self._evals[id(source.function_of(call) or source.module)].append(call)
        self._switching = self._scopes_below_eval()
        self._wrapped: dict[tuple[int, int], bool] = {}
        self._is_training = "backward(" in source.text
        self._passed_on = {
            argument.value.value for argument in source.nodes(cst.Arg) if isinstance(argument.value, cst.Name)
        }

    def evaluations(self) -> Iterator[Evaluation]:
        """Every evaluation that lacks something as far as this file says."""
        seen: set[int] = set()
        yield from self._numbers_alone(seen)
        yield from self._never_switched(seen)
        for call in self._models.calls:
            scope = self._source.function_of(call) or self._source.module
            if id(scope) in seen or isinstance(scope, cst.Lambda):
                continue
            block = self._evaluating_block(call)
            is_named = isinstance(scope, cst.FunctionDef) and self._is_evaluation(scope, call)
            if block is None and not is_named:
                continue
            around: cst.CSTNode = scope if is_named else block or scope
            if self._is_exempt(scope, around):
                continue
            seen.add(id(scope))
            found = self._judged(call, scope, around, is_named=is_named)
            if found is not None:
                yield found

    def _numbers_alone(self, seen: set[int]) -> Iterator[Evaluation]:
        """Results of a model that become numpy arrays at once, so that the graph served nobody."""
        for call in self._calls.get("numpy", ()):
            root, is_detached = _chain(call)
            if isinstance(root, cst.Name):
                value = self._source.fact(Flow).value_of(root)
                scope = self._source.function_of(call) or self._source.module
                if value is None or self._source.fact(Flow).num_uses(root.value, within=scope) != 1:
                    continue
                inner, was_detached = _chain(value)
                root, is_detached = inner, is_detached or was_detached
            if not is_detached or not isinstance(root, cst.Call) or not self._runs_model(root):
                continue
            scope = self._source.function_of(root) or self._source.module
            if id(scope) in seen or not isinstance(scope, cst.FunctionDef) or not _COLLECTS.search(scope.name.value):
                continue
            if self._is_exempt(scope, scope) or _TRAINING.search(scope.name.value):
                continue
            seen.add(id(scope))
            found = self._judged(root, scope, scope, is_named=True)
            if found is not None and found.lacks_no_grad:
                yield dataclasses.replace(found, lacks_eval=False)

    def _never_switched(self, seen: set[int]) -> Iterator[Evaluation]:
        """The first run of a model whose weights a script loads, in a file that never trains nor calls `eval()`."""
        text = self._source.text
        # Who converts weights compares the two models on the same numbers.
        is_conversion = PurePath(self._source.path).stem.startswith("convert")
        if "load_state_dict(" not in text or any(self._evals.values()) or _TRAINS.search(text) or is_conversion:
            return
        for call in self._models.calls:
            scope = self._source.function_of(call) or self._source.module
            path = path_of(self._source, call.func)
            is_method = self._source.enclosing(call, cst.ClassDef) is not None
            if is_method or isinstance(scope, cst.Lambda) or _is_generator(path):
                continue
            if not self._is_loaded(path, call) or self._is_made_up(call) or self._is_exempt(scope, scope):
                continue
            seen.add(id(scope))
            found = self._judged(call, scope, scope, is_named=False)
            if found is not None:
                yield dataclasses.replace(found, lacks_eval=True, lacks_no_grad=False, is_loaded=True)
            return

    def _is_loaded(self, path: str, call: cst.Call) -> bool:
        """Whether weights are loaded into the variable itself, or into what a call passes for a parameter."""
        scope = self._source.function_of(call)
        if self._loads_into(path, scope):
            return True
        if not isinstance(scope, cst.FunctionDef):
            return False
        for each in self._calls.get(scope.name.value, ()):
            given = parameter_mapping(each, scope, self._source).get(path, "")
            if given and self._loads_into(given, self._source.function_of(each)):
                return True
        return False

    def _loads_into(self, path: str, scope: cst.CSTNode | None) -> bool:
        """Whether a function, or the module's own code, loads weights into a variable of that name."""
        return any(
            isinstance(load.func, cst.Attribute)
            and path_of(self._source, load.func.value) == path
            and self._source.function_of(load) is scope
            for load in self._calls.get("load_state_dict", ())
        )

    def _is_made_up(self, call: cst.Call) -> bool:
        """Whether a model is only tried, on random numbers: nobody reads what it gives."""
        flow = self._source.fact(Flow)
        values = [argument.value for argument in call.args]
        values += [value for each in values if isinstance(each, cst.Name) and (value := flow.value_of(each))]
        return any(_MADE_UP.match(self._source.code(value)) for value in values)

    def _runs_model(self, call: cst.Call) -> bool:
        """Whether a call runs a model, or a method of one."""
        if any(call is each for each in self._models.calls):
            return True
        return isinstance(call.func, cst.Attribute) and self._models.is_model_name(call.func.value)

    def calls(self) -> Mapping[str, tuple[bool, bool]]:
        """How functions are called."""
        return {
            name: (
                any(self._has_eval(self._source.function_of(call) or self._source.module) for call in calls),
                any(self._mode.is_off(call) for call in calls),
            )
            for name, calls in self._calls.items()
            if name
        }

    def _judged(self, call: cst.Call, scope: cst.CSTNode, around: cst.CSTNode, *, is_named: bool) -> Evaluation | None:
        name = scope.name.value if isinstance(scope, cst.FunctionDef) else ""
        lacks_no_grad = not self._mode.is_off(call) and not self._is_wrapped(scope)
        lacks_eval = self._lacks_eval(scope, call)
        if not (lacks_no_grad or lacks_eval):
            return None
        try:
            place = self._source.place(call)
        except UnknownPosition:
            return None
        return Evaluation(
            place,
            self._source.code(call.func),
            name,
            is_named,
            lacks_eval,
            lacks_no_grad,
            is_called=bool(name and self._calls.get(name)),
            is_trained=self._is_training,
            built_by=self._class_elsewhere(call),
            method="" if any(call is each for each in self._models.calls) else called_name(call),
            **self._edits(call, scope, around),  # type: ignore[arg-type] # the edits by the names of their fields
        )

    def _edits(self, call: cst.Call, scope: cst.CSTNode, around: cst.CSTNode) -> dict[str, object]:
        """A decorator for a function; nothing for a loop, whose block would have to be indented."""
        if not isinstance(scope, cst.FunctionDef) or around is not scope or scope.asynchronous is not None:
            return {}
        if _yields(scope):
            return {}
        reference = self._source.fact(Names).reference("torch.no_grad", at=scope)
        edits: dict[str, object] = {
            "no_grad": insert_before(self._source, scope, f"@{reference.code}()"),
            "no_grad_import": reference.edits,
        }
        model = path_of(self._source, call.func)
        parameters = {each.name.value for each in scope.params.params}
        first = _first_statement(scope)
        if first is not None and model and (model.partition(".")[0] in parameters) and model != "self":
            edits["eval_mode"] = (insert_before(self._source, first, f"{model}.eval()"),)
        return edits

    def _evaluating_block(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The loop over evaluation data around a node, or the block before it that takes a batch of such data."""
        below = node
        for above in self._source.ancestors(node):
            match above:
                case cst.FunctionDef() | cst.Lambda():
                    return None
                case cst.For(iter=iterated) if any(
                    _EVALUATION_DATA.search(name) or _HELD_OUT.search(name) for name in _data_names(iterated)
                ):
                    return above
                case cst.For(iter=iterated):
                    return None
                case cst.IndentedBlock(body=body) if isinstance(self._source.parent(above), cst.If):
                    if any(self._takes_evaluation_batch(each) for each in _before(body, below)):
                        return above
            below = above
        return None

    def _takes_evaluation_batch(self, statement: cst.CSTNode) -> bool:
        """`data = next(iter(test_loader))`."""
        match statement:
            case cst.SimpleStatementLine(body=[cst.Assign(value=cst.Call(func=cst.Name(value="next")) as value)]):
                return any(_EVALUATION_DATA.search(name) for name in _data_names(value))
        return False

    def _is_evaluation(self, scope: cst.FunctionDef, call: cst.Call) -> bool:
        """Whether a function's name says that it evaluates, and it does so with data from a loop or from its caller."""
        name = scope.name.value.strip("_")
        loop = self._data_loop(call)
        if loop is None or _TRAINING.search(name):
            return False
        if _EVALUATION.search(name):
            return True
        # A module's own layers are run as its callers want.
        owner = self._source.fact(Modules).class_of(scope)
        is_module = owner is not None and (owner.is_module or "forward" in owner.methods)
        if is_module and path_of(self._source, call.func).startswith("self."):
            return False
        # What a loop collects of all batches keeps the graphs of all batches.
        return _COLLECTS.search(name) is not None and ".append(" in self._source.code(loop)

    def _data_loop(self, node: cst.CSTNode) -> cst.For | None:
        for above in self._source.ancestors(node):
            match above:
                case cst.FunctionDef() | cst.Lambda():
                    return None
                case cst.For(iter=iterated):
                    names = list(_data_names(iterated))
                    if any(_DATA.search(name) or _EVALUATION_DATA.search(name) for name in names):
                        return above
        return None

    def _is_exempt(self, scope: cst.CSTNode, around: cst.CSTNode) -> bool:
        """Whether a framework calls the function, or the code differentiates on purpose."""
        if _DIFFERENTIATES.search(self._source.code(around)):
            return True
        # Whoever is given the function may call it under `no_grad`.
        if isinstance(scope, cst.FunctionDef) and scope.name.value in self._passed_on:
            return True
        owner = self._source.fact(Modules).class_of(scope) if isinstance(scope, cst.FunctionDef) else None
        if isinstance(scope, cst.FunctionDef):
            name = scope.name.value
            parameters = [each.name.value for each in scope.params.params]
            if _FRAMEWORK_METHODS.search(name) or "engine" in parameters:
                return True
        if owner is not None:
            bases = [base.rpartition(".")[2].lstrip(":") for base in owner.bases]
            return any(_BASES_OF_FRAMEWORKS.search(base) for base in bases)
        return False

    def _is_wrapped(self, scope: cst.CSTNode, depth: int = 0) -> bool:
        """Whether some call of a function in this file stands under `no_grad`, or it or the script says so."""
        key = id(scope), depth
        if key not in self._wrapped:
            self._wrapped[key] = self._says_no_grad(scope) or any(
                self._mode.is_off(call) or (depth < _MOST_CALLS - 1 and self._is_wrapped(caller, depth + 1))
                for call, caller in self._callers(scope)
            )
        return self._wrapped[key]

    def _says_no_grad(self, scope: cst.CSTNode) -> bool:
        if not isinstance(scope, cst.FunctionDef):
            return "set_grad_enabled" in self._source.text or "volatile" in self._source.text
        return re.search(r"volatile|requires_grad_\(False\)", self._source.code(scope)) is not None

    def _callers(self, scope: cst.CSTNode) -> Iterator[tuple[cst.Call, cst.CSTNode]]:
        """The calls of a function, each with the function or module that it stands in."""
        if isinstance(scope, cst.FunctionDef):
            for call in self._calls.get(scope.name.value, ()):
                caller = self._source.function_of(call) or self._source.module
                if caller is not scope:
                    yield call, caller

    def _lacks_eval(self, scope: cst.CSTNode, call: cst.Call) -> bool:
        model = path_of(self._source, call.func)
        if not model or model == "self" or self._has_eval(scope) or _is_generator(model):
            return False
        return not self._is_in_eval_block(call) and self._may_matter(model, call)

    def _is_in_eval_block(self, node: cst.CSTNode) -> bool:
        """Whether a context around a node switches to evaluation: `with eval_mode(model):`."""
        return any(
            isinstance(above, cst.With)
            and any(_EVAL_BLOCK.search(self._source.code(each.item)) for each in above.items)
            for above in self._source.ancestors(node)
        )

    def _has_eval(self, scope: cst.CSTNode) -> bool:
        """Whether a function, or one that calls it, switches something to evaluation."""
        return id(scope) in self._switching

    def _scopes_below_eval(self) -> frozenset[int]:
        """The functions that switch to evaluation, those of classes that do, and those that such functions call."""
        source = self._source
        found = set(self._evals)
        owners = {id(source.enclosing(call, cst.ClassDef)) for calls in self._evals.values() for call in calls}
        callers: dict[str, set[int]] = defaultdict(set)
        for name, calls in self._calls.items():
            callers[name] = {id(source.function_of(call) or source.module) for call in calls}
        functions = source.nodes(cst.FunctionDef)
        for function in functions:
            owner = source.enclosing(function, cst.ClassDef)
            if owner is not None and id(owner) in owners:
                found.add(id(function))
        for _ in range(_MOST_CALLS):
            new = {id(each) for each in functions if id(each) not in found and callers[each.name.value] & found}
            if not new:
                break
            found |= new
        return frozenset(found)

    def _may_matter(self, model: str, call: cst.Call) -> bool:
        """Whether the model may have layers that behave differently in training, and may be in training mode."""
        if not self._is_training and not re.search(r"\.train\(", self._source.text):
            return _LOADED.search(self._source.text) is not None and "optim" not in self._source.text
        own = self._models.class_of(call)
        if own is not None:
            return self._is_regularized(own)
        built = self._models.built_by(call)
        if built is not None and (self._source.fact(Names).resolve(built.func) or "").startswith("torch.nn."):
            return self._is_regularized(built)
        defines = [view for view in self._source.fact(Modules).classes if view.is_module]
        is_library = _LIBRARY.search(_COMMENT.sub("", self._source.text)) is not None
        return not defines or is_library or any(self._is_regularized(view.node) for view in defines)

    def _class_elsewhere(self, call: cst.Call) -> str:
        built = self._models.built_by(call)
        return (self._source.fact(Names).resolve(built.func) or "") if built is not None else ""

    def _is_regularized(self, root: cst.CSTNode) -> bool:
        """Whether code has layers that differ in training, itself or in the classes of the file that it names."""
        classes = {view.name: view.node for view in self._source.fact(Modules).classes}
        waiting, seen = [root], set[int]()
        while waiting:
            node = waiting.pop()
            code = self._source.code(node)
            if _REGULARIZED.search(code):
                return True
            seen.add(id(node))
            waiting += [
                each for name, each in classes.items() if id(each) not in seen and re.search(rf"\b{name}\b", code)
            ]
        return False


def _switches_to_eval(call: cst.Call, name: str) -> bool:
    if not isinstance(call.func, cst.Attribute):
        return False
    if name == "eval":
        return not call.args
    return bool(call.args) and not (isinstance(call.args[0].value, cst.Name) and call.args[0].value.value == "True")


def _chain(node: cst.BaseExpression) -> tuple[cst.BaseExpression, bool]:
    """What a chain of methods and indices begins with, and whether it detaches: `model(x)[0].detach().numpy()`."""
    is_detached = False
    while True:
        match node:
            case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value=name))) if name in _CHAINED:
                is_detached |= name == "detach"
                node = inner
            case cst.Attribute(value=inner, attr=cst.Name(value="data")):
                is_detached, node = True, inner
            case cst.Subscript(value=inner):
                node = inner
            case _:
                return node, is_detached


def _data_names(node: cst.BaseExpression) -> Iterator[str]:
    """The last words of the variables that a loop goes over, through `enumerate`, `tqdm`, `zip` and the like."""
    match node:
        case cst.Call(func=function, args=args):
            if isinstance(function, cst.Attribute):
                yield from _data_names(function.value)
                yield function.attr.value
            elif isinstance(function, cst.Name):
                yield function.value
            for argument in args:
                yield from _data_names(argument.value)
        case cst.Subscript(value=value):
            yield from _data_names(value)
        case cst.Name() | cst.Attribute():
            yield dotted_name(node).rpartition(".")[2]


def _before(body: Sequence[cst.CSTNode], statement: cst.CSTNode) -> Sequence[cst.CSTNode]:
    index = next((i for i, each in enumerate(body) if each is statement), 0)
    return body[:index]


def _is_generator(model: str) -> bool:
    """Whether the model is a GAN's, which is sampled in training mode on purpose, or may be any function."""
    return (
        re.search(r"(^|[._])(G|D|net_?G|net_?D|gen|generator\w*|G_\w+|D_\w+|discriminator\w*|critic)$", model)
        is not None
    )


def _yields(function: cst.FunctionDef) -> bool:
    """Whether it is a generator, which a decorator would only guard until its first value."""
    waiting: list[cst.CSTNode] = [function.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, cst.Yield):
            return True
        if not isinstance(node, cst.FunctionDef | cst.Lambda):
            waiting.extend(node.children)
    return False


def _first_statement(function: cst.FunctionDef) -> cst.CSTNode | None:
    body = function.body.body
    if not isinstance(function.body, cst.IndentedBlock) or not body:
        return None
    match body[0]:
        case cst.SimpleStatementLine(body=[cst.Expr(value=cst.SimpleString() | cst.ConcatenatedString()), *_]):
            return body[1] if len(body) > 1 else None
    return body[0]
