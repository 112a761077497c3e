"""What calls to code outside the project do with models, datasets and outputs: torch, its companions, the builtins."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline_lint.refactor.containers import elements_of
from pipeline_lint.refactor.program import ClassInfo, ModuleCode
from pipeline_lint.refactor.tokens import (
    EMPTY,
    JUST_NOTHING,
    JUST_OPAQUE,
    JUST_UNKNOWN,
    NOTHING,
    OPAQUE,
    Box,
    ClassToken,
    External,
    Function,
    Instance,
    ModuleToken,
    Partial,
    RecordClass,
    Text,
    Token,
    Value,
    has_outputs,
    is_output,
)

if TYPE_CHECKING:
    from pipeline_lint.refactor.calling import Arguments
    from pipeline_lint.refactor.evaluation import Evaluation
    from pipeline_lint.refactor.machine import Machine

Handler = Callable[["Evaluation", "Arguments", ast.AST], Value]

_GIVING_ITSELF = frozenset(
    "to cuda cpu xpu eval train half float double bfloat16 type requires_grad_ apply share_memory to_empty cuda_ ipu "
    "compile_ freeze unfreeze shuffle".split()
)
_OF_MODULES = frozenset(
    "parameters named_parameters state_dict load_state_dict buffers named_buffers modules named_modules children "
    "named_children zero_grad register_buffer register_parameter add_module register_module get_submodule "
    "register_forward_hook register_forward_pre_hook register_full_backward_hook register_backward_hook "
    "register_full_backward_pre_hook __init__ extra_repr log log_dict "
    "save_hyperparameters optimizers lr_schedulers manual_backward freeze toggle_optimizer untoggle_optimizer "
    "configure_optimizers forward __call__ compile update_parameters update no_sync join clip_gradients print "
    "all_gather".split()
)
INHERITED_METHODS = _GIVING_ITSELF | _OF_MODULES
"""Methods of `nn.Module` and Lightning's that classes of the project inherit."""

_BACKWARD_HOOKS = frozenset(
    {"register_full_backward_hook", "register_backward_hook", "register_full_backward_pre_hook"}
)
ANY_NAME = "*"
"""The attribute that stands for those whose names are computed."""

_SAME = re.compile(
    r"(^|\.)(DataParallel|DistributedDataParallel|DDP|FSDP|FullyShardedDataParallel|AveragedModel|deepcopy|copy|compile|"
    r"convert_sync_batchnorm|weight_norm|spectral_norm|script|optimize|convert_model|Subset|setup|setup_module|"
    r"setup_dataloaders|prepare_model|prepare_data_loader|disable|allow_in_graph|unwrap_model|EMA|fully_shard|checkpoint_wrapper|"
    r"set_data|wrap|no_grad|inference_mode|enable_grad|autocast|jit_ignore|unused|ignore)$"
)
"""What gives its first argument back, wrapped or copied."""
_PREPARE = re.compile(r"(^|\.)(Accelerator\(\)\.prepare|initialize|Fabric\(\)\.setup)$")
_HARMLESS_ROOTS = frozenset(
    "torch numpy builtins logging os sys pytest math random time copy typing functools collections itertools pathlib "
    "argparse tqdm json contextlib dataclasses abc warnings inspect unittest operator re string torchvision".split()
)
"""Packages that do not call a model that they are given, some functions apart."""
_CALLING = re.compile(
    r"(^torch\.(jit\.trace|jit\.trace_module|onnx\.|export|fx\.|func\.|package|quantization|ao\.quantization|utils\.checkpoint|"
    r"utils\.tensorboard|autograd\.functional|autograd\.gradcheck|autograd\.profiler))|add_graph$|^torchsummary|^torchinfo"
)
_SCRIPTING = re.compile(r"^torch\.jit\.(script|script_method|export|script_if_tracing)$")
_LEAVING_ALONE = re.compile(
    r"^(builtins|logging|os|sys|math|time|argparse|json|warnings|inspect|tqdm|random\.shuffle|wandb)\b|\.__init__$|"
    r"^torch\.(optim|distributed|nn\.utils|nn\.init|cuda\.(synchronize|empty_cache|memory)|is_tensor|"
    r"utils\.data\.(\w*Sampler|distributed|sampler)|save|manual_seed)\b"
)
"""Functions of harmless packages that neither call or index an object that they are given, nor keep it."""
_SAVING = re.compile(r"(^torch\.save|\.dumps?|^numpy\.save\w*)$")
_LOADERS = re.compile(r"(^|\.)(DataLoader|StatefulDataLoader|MultiEpochsDataLoader|DataListLoader)$")
_TRAINER = re.compile(r"Trainer\(\)\.(fit|validate|test|predict)$")


def call_external(evaluation: Evaluation, path: str, arguments: Arguments, node: ast.AST) -> Value:
    """What calling something outside the project gives; notes what it may do with ours."""
    from pipeline_lint.refactor import calling

    handler = _handler(path)
    if handler is not None:
        return handler(evaluation, arguments, node)
    if _SCRIPTING.search(path):
        for value, argument in arguments.all:
            for token in value:
                if isinstance(token, Instance):
                    evaluation.machine.uses.escape(token.info, evaluation.code, argument, f"`{path}`")
    if _SAME.search(path) and arguments.all:
        _note_wrapped(evaluation, path, arguments)
        kept = arguments.values[0] if arguments.values else next(iter(arguments.keywords.values()), EMPTY)
        ours = frozenset(token for token in kept if token not in (OPAQUE, NOTHING))
        if not arguments.is_decorated or ours:
            # Nothing yet is not the same as nothing of ours.
            return ours if ours or not kept else JUST_OPAQUE
    if arguments.is_decorated:
        if path.partition(".")[0] not in _HARMLESS_ROOTS:
            # A registry elsewhere, perhaps, that makes models by their names.
            calling.hand_over(evaluation, arguments, f"`{path.replace('()', '')}`")
        return JUST_OPAQUE
    if _PREPARE.search(path):
        return _prepare(evaluation, path, arguments, node)
    if _TRAINER.search(path):
        return _train(evaluation, path, arguments, node)
    root = path.partition(".")[0]
    is_harmless = (root in _HARMLESS_ROOTS and not _CALLING.search(path)) or path == "wandb.watch"
    receiver = f"`{path.removeprefix('builtins.').replace('()', '')}`"
    if _SAVING.search(path):
        for value, argument in arguments.all:
            _save(evaluation, value, argument, receiver)
        return JUST_OPAQUE
    calling.hand_over(evaluation, arguments, receiver, to_library=is_harmless)
    if is_harmless and not _LEAVING_ALONE.search(path):
        _note_objects(evaluation, arguments, receiver)
    for value, _ in arguments.all:
        for token in value:
            if isinstance(token, Function):
                calling.open_function(evaluation.machine, token)
    if path.count("()") >= 2:
        return JUST_OPAQUE
    return frozenset({evaluation.machine.external(f"{path}()")})


def _note_objects(evaluation: Evaluation, arguments: Arguments, receiver: str) -> None:
    """Notes models and datasets that a library may call, index or keep: `torch.vmap(model)`."""
    for value, argument in arguments.all:
        for token in value:
            if isinstance(token, Instance):
                evaluation.machine.uses.escape(token.info, evaluation.code, argument, receiver)


_SAVED = ("saved", "load")
"""The cell of all objects that are saved: of interest to whoever mentions `load`."""


def _save(evaluation: Evaluation, value: Value, argument: ast.expr, receiver: str) -> None:
    """Notes outputs that are saved, alone or within something; objects come back where something is loaded."""
    machine = evaluation.machine
    for token in value:
        if isinstance(token, Instance):
            machine.write(_SAVED, frozenset({token}))
        elif isinstance(token, Box):
            inside = machine.read_items(token, evaluation.unit)
            outputs = frozenset(each for each in inside | {token} if is_output(each))
            if outputs:
                machine.uses.note("save", evaluation.code, argument, outputs, receiver)
            machine.write(_SAVED, frozenset(each for each in inside if isinstance(each, Instance)))


def _load(evaluation: Evaluation, _arguments: Arguments, _: ast.AST) -> Value:
    """`torch.load(path)`: an object that the project saves, or anything else."""
    return evaluation.machine.read(_SAVED, evaluation.unit) | JUST_OPAQUE


def call_inherited(evaluation: Evaluation, receiver: Token, name: str, arguments: Arguments, node: ast.AST) -> Value:
    """Methods that classes of the project inherit from torch."""
    from pipeline_lint.refactor import calling

    if name in ("__call__", "forward") and isinstance(receiver, Instance):
        method = evaluation.machine.method(receiver.info, "forward")
        if method is None:
            return calling.call(evaluation, chain_of(evaluation, receiver.info), arguments, node) or JUST_OPAQUE
        return calling.call_function(evaluation, method, frozenset({receiver}), arguments)
    if name in _GIVING_ITSELF:
        _open_functions(evaluation, arguments)
        return frozenset({receiver})
    if name == "register_forward_hook" and isinstance(receiver, Instance):
        return _hook(evaluation, receiver, arguments)
    if name in _BACKWARD_HOOKS and isinstance(receiver, Instance):
        # Of a dict they see no gradients.
        evaluation.machine.uses.escape(receiver.info, evaluation.code, node, f"`{name}`, which wants a tuple")
    if name in ("add_module", "register_module") and isinstance(receiver, Instance):
        names = [token.text for token in arguments.get(0, "name") if isinstance(token, Text)]
        for each in names or [ANY_NAME]:
            hold(evaluation.machine, receiver.info, each, arguments.get(1, "module"))
        if is_container(evaluation.machine, receiver.info):
            calling.hand_over(evaluation, arguments, f"`{name}`")
    if name in ("children", "modules", "named_children", "named_modules") and isinstance(receiver, Instance):
        return _submodules(evaluation, receiver, name, node)
    if name == "get_submodule" and isinstance(receiver, Instance):
        return held_by(evaluation, receiver.info, deep=True) | JUST_OPAQUE
    if name == "__init__" and isinstance(receiver, Instance):
        if "torch.nn.Sequential" in evaluation.machine.external_bases(receiver.info):
            chain = _sequential(evaluation, arguments, node)
            evaluation.machine.write(("chain", receiver.info), chain)
            evaluation.machine.write(("held", receiver.info), chain)
            return JUST_NOTHING
        # A loader or a container of torch keeps them, and gives them in ways that are not followed.
        calling.hand_over(evaluation, arguments, "`super().__init__`")
    _open_functions(evaluation, arguments)
    return JUST_OPAQUE


def chain_of(evaluation: Evaluation, info: ClassInfo) -> Value:
    """What `nn.Sequential.__init__` was given by a subclass: its objects are that chain of modules when called."""
    value: Value = EMPTY
    for each in evaluation.machine.lineage(info):
        value |= evaluation.machine.read(("chain", each), evaluation.unit)
    return value


_CONTAINERS = frozenset({"torch.nn.Sequential", "torch.nn.ModuleList", "torch.nn.ModuleDict"})


def is_container(machine: Machine, info: ClassInfo) -> bool:
    """Whether a class of the project is a container of torch, which gives what it holds by index and by name."""
    return not _CONTAINERS.isdisjoint(machine.external_bases(info))


def hold(machine: Machine, info: ClassInfo, name: str, value: Value) -> None:
    """Notes what an attribute of a class's objects is."""
    machine.write(("attribute", info, name), value)
    kept = frozenset(token for token in value if isinstance(token, Instance | Box))
    machine.write(("held", info), kept)


def held_by(evaluation: Evaluation, info: ClassInfo, *, deep: bool) -> Value:
    """The modules that a module has in its attributes, those in lists and dicts included; `deep`: theirs, too."""
    machine, unit = evaluation.machine, evaluation.unit
    found: dict[Token, None] = {}
    waiting: list[Token] = []
    for each in machine.lineage(info):
        waiting += machine.read(("held", each), unit)
    seen: set[Token] = set()
    while waiting:
        token = waiting.pop()
        if token in seen:
            continue
        seen.add(token)
        if isinstance(token, Box):
            waiting += machine.read_items(token, unit)
        elif isinstance(token, Instance):
            found[token] = None
            if deep:
                for each in machine.lineage(token.info):
                    waiting += machine.read(("held", each), unit)
    return frozenset(found)


def _submodules(evaluation: Evaluation, receiver: Instance, name: str, node: ast.AST) -> Value:
    """`children()`, `named_modules()` and the like: modules of the project, and layers of torch."""
    machine = evaluation.machine
    is_deep = name.endswith("modules")
    modules = held_by(evaluation, receiver.info, deep=is_deep) | JUST_OPAQUE
    if is_deep:
        modules |= {receiver}
    if not name.startswith("named"):
        return _iterator(evaluation, node, modules)
    pair = machine.box("tuple", evaluation.code, node, part="pair", num_values=2)
    machine.write_item(pair, 0, JUST_NOTHING)
    machine.write_item(pair, 1, modules)
    return _iterator(evaluation, node, frozenset({pair}))


def _open_functions(evaluation: Evaluation, arguments: Arguments) -> None:
    from pipeline_lint.refactor import calling

    for value, _ in arguments.all:
        for token in value:
            if isinstance(token, Function):
                calling.open_function(evaluation.machine, token)


def _hook(evaluation: Evaluation, receiver: Instance, arguments: Arguments) -> Value:
    from pipeline_lint.refactor import calling

    method = evaluation.machine.method(receiver.info, "forward")
    if method is not None:
        output = calling.result_of(evaluation.machine, method, evaluation.unit)
        blank = calling.placeholder(arguments.nodes[0] if arguments.nodes else receiver.info.node)
        given = calling.Arguments([frozenset({receiver}), JUST_OPAQUE, output], [blank, blank, blank])
        calling.call(evaluation, arguments.get(0, "hook"), given, blank)
    return JUST_OPAQUE


def _note_wrapped(evaluation: Evaluation, path: str, arguments: Arguments) -> None:
    for token in arguments.get(0, "module") | arguments.get(0, "model"):
        if isinstance(token, Instance):
            evaluation.machine.uses.wrapped.setdefault(token.info, set()).add(path)


def _prepare(evaluation: Evaluation, path: str, arguments: Arguments, node: ast.AST) -> Value:
    """Accelerate and the like give back what they are given: one thing, or a tuple of all."""
    values = arguments.values or list(arguments.keywords.values())
    for value in values:
        for token in value:
            if isinstance(token, Instance):
                evaluation.machine.uses.wrapped.setdefault(token.info, set()).add(path)
    if len(values) == 1:
        return values[0]
    box = evaluation.machine.box("tuple", evaluation.code, node, num_values=len(values))
    for index, value in enumerate(values):
        evaluation.machine.write_item(box, index, value)
    return frozenset({box})


def _handler(path: str) -> Handler | None:
    from pipeline_lint.refactor.launching import launcher

    if path.startswith("builtins."):
        return _BUILTINS.get(path.removeprefix("builtins."))
    if _LOADERS.search(path):
        return _loader
    last = path.rpartition(".")[2]
    return _FUNCTIONS.get(path) or _FUNCTIONS.get(last if last in _BY_LAST_NAME else "") or launcher(path)


def _iterator(evaluation: Evaluation, node: ast.AST, items: Value, part: str = "") -> Value:
    box = evaluation.machine.box("iterator", evaluation.code, node, part=part)
    evaluation.machine.write_item(box, None, items)
    return frozenset({box})


def _collected(kind: str) -> Handler:
    """`list(x)`, `tuple(x)`: a container of the items."""

    def handle(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
        if not arguments.values:
            return frozenset({evaluation.machine.box(kind, evaluation.code, node)})
        items = elements_of(evaluation, arguments.values[0], arguments.nodes[0])
        box = evaluation.machine.box(kind, evaluation.code, node)
        evaluation.machine.write_item(box, None, items)
        return frozenset({box})

    return handle


def compare(evaluation: Evaluation, items: Value, arguments: Arguments, node: ast.AST) -> None:
    """Puts items into an order: by what the function `key` makes of each, or by the items themselves."""
    from pipeline_lint.refactor import calling

    key = frozenset(token for token in arguments.keywords.get("key", EMPTY) if token is not NOTHING)
    if key:
        calling.call(evaluation, key, calling.Arguments([items], [calling.placeholder(node)]), node)
    else:
        evaluation.machine.uses.note("compare", evaluation.code, node, items)


def _sorted(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    items = elements_of(evaluation, arguments.values[0], arguments.nodes[0]) if arguments.values else arguments.rest
    compare(evaluation, items, arguments, node)
    box = evaluation.machine.box("list", evaluation.code, node)
    evaluation.machine.write_item(box, None, items)
    return frozenset({box})


def _extreme(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    """`max(x)` gives an item of its only argument, `max(a, b)` one of several."""
    if len(arguments.values) == 1:
        items = elements_of(evaluation, arguments.values[0], arguments.nodes[0])
    else:
        items = EMPTY.union(*arguments.values)
    items |= arguments.rest
    compare(evaluation, items, arguments, node)
    return items | arguments.keywords.get("default", EMPTY) or JUST_OPAQUE


def _set(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    items = elements_of(evaluation, arguments.values[0], arguments.nodes[0]) if arguments.values else EMPTY
    evaluation.machine.uses.note("hash", evaluation.code, node, items)
    box = evaluation.machine.box("list", evaluation.code, node)
    evaluation.machine.write_item(box, None, items)
    return frozenset({box})


def _chained(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    """`chain(a, b)`: the items of all arguments."""
    pairs = zip(arguments.values, arguments.nodes, strict=True)
    items = EMPTY.union(*(elements_of(evaluation, value, argument) for value, argument in pairs))
    return _iterator(evaluation, node, items | elements_of(evaluation, arguments.rest, None))


def _iterated(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    """`iter(x)`, `reversed(x)`, `tqdm(x)`: the same items."""
    items = EMPTY
    if arguments.all:
        value, argument = arguments.all[0]
        items = elements_of(evaluation, value, argument)
    return _iterator(evaluation, node, items)


def _next(evaluation: Evaluation, arguments: Arguments, _: ast.AST) -> Value:
    value = arguments.values[0] if arguments.values else EMPTY
    return elements_of(evaluation, value, None) | arguments.get(1, "default")


def _enumerate(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    machine = evaluation.machine
    items = elements_of(evaluation, arguments.values[0], arguments.nodes[0]) if arguments.values else arguments.rest
    pair = machine.box("tuple", evaluation.code, node, part="pair", num_values=2)
    machine.write_item(pair, 0, JUST_NOTHING)
    machine.write_item(pair, 1, items)
    return _iterator(evaluation, node, frozenset({pair}))


def _zip(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    machine = evaluation.machine
    if arguments.rest:
        # `zip(*outputs)` turns rows into columns: each item is a tuple of what the rows hold.
        if has_outputs(arguments.rest):
            machine.uses.note("columns", evaluation.code, node, arguments.rest)
        column = machine.box("tuple", evaluation.code, node, part="column")
        machine.write_item(column, None, elements_of(evaluation, arguments.rest, None))
        return _iterator(evaluation, node, frozenset({column}))
    row = machine.box("tuple", evaluation.code, node, part="row", num_values=len(arguments.values))
    for index, (value, argument) in enumerate(zip(arguments.values, arguments.nodes, strict=True)):
        machine.write_item(row, index, elements_of(evaluation, value, argument))
    return _iterator(evaluation, node, frozenset({row}))


def _map(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    from pipeline_lint.refactor import calling

    items = [
        elements_of(evaluation, value, argument)
        for value, argument in zip(arguments.values[1:], arguments.nodes[1:], strict=True)
    ]
    result = calling.call(
        evaluation,
        arguments.get(0, "function"),
        calling.Arguments(items, [calling.placeholder(node)] * len(items)),
        node,
    )
    return _iterator(evaluation, node, result)


def _filter(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    from pipeline_lint.refactor import calling

    if len(arguments.values) < 2:
        return JUST_OPAQUE
    items = elements_of(evaluation, arguments.values[1], arguments.nodes[1])
    calling.call(evaluation, arguments.values[0], calling.Arguments([items], [calling.placeholder(node)]), node)
    return _iterator(evaluation, node, items)


def _isinstance(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    if arguments.values:
        evaluation.machine.uses.note("isinstance", evaluation.code, node, arguments.values[0])
    return JUST_NOTHING


def _partial(evaluation: Evaluation, arguments: Arguments, _: ast.AST) -> Value:
    function = arguments.get(0, "func")
    values, keywords = tuple(arguments.values[1:]), tuple(sorted(arguments.keywords.items()))
    key = ("partial", function, values, keywords)
    return frozenset({evaluation.machine.token(key, lambda: Partial(function, values, keywords))})


def _harmless(_evaluation: Evaluation, _arguments: Arguments, _: ast.AST) -> Value:
    return JUST_OPAQUE


def _measured(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    if arguments.values:
        evaluation.machine.uses.note("len", evaluation.code, node, arguments.values[0])
    return JUST_OPAQUE


def _folded(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    """`sum(x)`, `any(x)`: takes the items of its first argument together."""
    if arguments.values:
        items = elements_of(evaluation, arguments.values[0], arguments.nodes[0])
        evaluation.machine.uses.note("sum", evaluation.code, node, items)
        return JUST_OPAQUE | frozenset(token for token in items if isinstance(token, Box | Instance))
    return JUST_OPAQUE


def _getattr(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    from pipeline_lint.refactor.expressions import attribute_of

    owners, names = arguments.get(0, "object"), arguments.get(1, "name")
    value = arguments.get(2, "default")
    texts = [token.text for token in names if isinstance(token, Text)]
    if texts and len(texts) == len(names):
        for owner in owners:
            for text in texts:
                value |= attribute_of(evaluation, owner, text)
        return value
    if owners and all(isinstance(owner, External) for owner in owners):
        # Of a library, as in `getattr(torch.nn, name)`: whatever it is, it is not of the project.
        return value | JUST_OPAQUE
    for owner in owners:
        if isinstance(owner, ModuleToken):
            for info in owner.code.classes.values():
                value |= {evaluation.machine.class_token(info)}
        elif isinstance(owner, Instance | ClassToken):
            evaluation.machine.uses.escape(owner.info, evaluation.code, node, "`getattr` with a name that is computed")
            value |= held_by(evaluation, owner.info, deep=False)
    return value | JUST_UNKNOWN


def _setattr(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    from pipeline_lint.refactor.assigning import assign_attribute

    for token in arguments.get(1, "name"):
        name = token.text if isinstance(token, Text) else ANY_NAME
        assign_attribute(evaluation, arguments.get(0, "object"), name, arguments.get(2, "value"), node)
    return JUST_NOTHING


def _named_tuple(evaluation: Evaluation, _: Arguments, node: ast.AST) -> Value:
    """`namedtuple("Output", ["mu", "logvar"])`, the names also in one text, or with types."""
    match node:
        case ast.Call(args=[_, ast.Constant(value=str() as text), *_]):
            names = tuple(text.replace(",", " ").split())
        case ast.Call(args=[_, ast.Tuple(elts=elements) | ast.List(elts=elements), *_]):
            written = [each.elts[0] if isinstance(each, ast.Tuple) and each.elts else each for each in elements]
            names = tuple(str(each.value) for each in written if isinstance(each, ast.Constant))
        case _:
            return JUST_OPAQUE
    if not names:
        return JUST_OPAQUE
    return frozenset({evaluation.machine.token(("record", node), lambda: RecordClass(names))})


def _dict(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    machine = evaluation.machine
    num_names = len(arguments.keywords) if not arguments.values and not arguments.rest else 0
    box = machine.box("dict", evaluation.code, node, num_values=num_names)
    for name, value in arguments.keywords.items():
        machine.write_item(box, name, value)
    for value in arguments.values:
        for token in value:
            if isinstance(token, Box) and token.kind == "dict":
                machine.write_item(box, None, machine.read_items(token, evaluation.unit))
            elif isinstance(token, Box):
                pairs = machine.read_items(token, evaluation.unit)
                machine.uses.note("pairs", evaluation.code, node, pairs)
                machine.write_item(box, None, elements_of(evaluation, pairs, None))
            elif isinstance(token, Instance):
                machine.uses.note("pairs", evaluation.code, node, elements_of(evaluation, frozenset({token}), None))
    return frozenset({box})


def _sequential(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    machine = evaluation.machine
    count = len(arguments.values) if not arguments.rest else 0
    box = machine.box("sequential", evaluation.code, node, num_values=count)
    for index, value in enumerate(arguments.values):
        boxes = [token for token in value if isinstance(token, Box) and token.kind == "dict"]
        for each in boxes:
            machine.write_item(box, None, machine.read_items(each, evaluation.unit))
        if not boxes:
            machine.write_item(box, index if count else None, value)
    machine.write_item(box, None, arguments.rest)
    return frozenset({box})


def _module_container(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    """`nn.ModuleList(modules)` holds what it is given."""
    given = frozenset(token for token in (arguments.values[0] if arguments.values else EMPTY) if isinstance(token, Box))
    return given or frozenset({evaluation.machine.box("list", evaluation.code, node)})


def _loader(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    """A `DataLoader` gives what its dataset does, collated: a dict stays a dict of the same keys."""
    from pipeline_lint.refactor import calling

    machine = evaluation.machine
    dataset = arguments.get(0, "dataset")
    samples = elements_of(evaluation, dataset, None)
    collate = frozenset(token for token in arguments.get(6, "collate_fn") if token is not NOTHING)
    box = machine.box("loader", evaluation.code, node)
    machine.write(("dataset", box), dataset)
    if collate:
        batch = machine.box("list", evaluation.code, node, part="samples")
        machine.write_item(batch, None, samples)
        blank = calling.placeholder(node)
        samples = calling.call(evaluation, collate, calling.Arguments([frozenset({batch})], [blank]), node)
    machine.write_item(box, None, samples)
    return frozenset({box})


def _concatenated(evaluation: Evaluation, arguments: Arguments, _: ast.AST) -> Value:
    return elements_of(evaluation, arguments.values[0], None) if arguments.values else arguments.rest


def _split(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    box = evaluation.machine.box("list", evaluation.code, node)
    evaluation.machine.write_item(box, None, arguments.get(0, "dataset"))
    return frozenset({box})


_STEPS = {
    "fit": (
        ("training_step", "train_dataloaders", 1, "train_dataloader"),
        ("validation_step", "val_dataloaders", 2, "val_dataloader"),
    ),
    "validate": (("validation_step", "dataloaders", 1, "val_dataloader"),),
    "test": (("test_step", "dataloaders", 1, "test_dataloader"),),
    "predict": (("predict_step", "dataloaders", 1, "predict_dataloader"),),
}


def _train(evaluation: Evaluation, path: str, arguments: Arguments, node: ast.AST) -> Value:
    """Lightning's trainer gives the batches of loaders and data modules to the steps of a module."""
    from pipeline_lint.refactor import calling
    from pipeline_lint.refactor.expressions import attribute_of

    machine = evaluation.machine
    results: Value = EMPTY
    for model in arguments.get(0, "model"):
        if not isinstance(model, Instance):
            continue
        for step, keyword, position, method in _STEPS[path.rpartition(".")[2]]:
            loaders = arguments.get(position, keyword) or arguments.get(position, keyword.removesuffix("s"))
            holders = [*(arguments.keywords.get("datamodule") or EMPTY), *loaders, model]
            for holder in holders:
                if isinstance(holder, Instance) and machine.method(holder.info, method):
                    found = attribute_of(evaluation, holder, method)
                    loaders |= calling.call(evaluation, found, calling.Arguments([], []), node)
                    for hook in ("setup", "prepare_data"):
                        if machine.method(holder.info, hook):
                            calling.call(
                                evaluation,
                                attribute_of(evaluation, holder, hook),
                                calling.Arguments([JUST_OPAQUE], [calling.placeholder(node)]),
                                node,
                            )
            batches = _batches(evaluation, loaders)
            blank = calling.placeholder(node)
            function = machine.method(model.info, step)
            if function is not None:
                given = calling.Arguments([batches, JUST_NOTHING, JUST_NOTHING], [blank, blank, blank])
                results |= calling.call_function(evaluation, function, frozenset({model}), given)
            elif step == "predict_step":
                given = calling.Arguments([batches], [blank])
                results |= calling.call_instance(evaluation, model, model.info, given, node)
    return _iterator(evaluation, node, results) if path.endswith("predict") else JUST_OPAQUE


def _batches(evaluation: Evaluation, loaders: Value) -> Value:
    """The batches of a loader, or of each of several."""
    items: Value = EMPTY
    for token in loaders:
        if isinstance(token, Box) and token.kind in ("list", "tuple", "dict"):
            items |= _batches(evaluation, evaluation.machine.read_items(token, evaluation.unit))
        elif not isinstance(token, Instance):
            items |= elements_of(evaluation, frozenset({token}), None)
    return items


def _type(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    evaluation.machine.uses.note("type", evaluation.code, node, arguments.get(0, "object"))
    classes = [evaluation.machine.class_token(t.info) for t in arguments.get(0, "object") if isinstance(t, Instance)]
    return frozenset(classes) if classes else JUST_OPAQUE


def _hashed(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    evaluation.machine.uses.note("hash", evaluation.code, node, arguments.get(0, "object"))
    return JUST_NOTHING


def namespace(evaluation: Evaluation, code: ModuleCode, node: ast.AST) -> Value:
    """A module's dict: its classes and functions under any name."""
    machine = evaluation.machine
    box = machine.box("dict", evaluation.code, node, part=code.path)
    for name in code.top_names:
        machine.write_item(box, name, global_of(evaluation, code, name))
    return frozenset({box})


def global_of(evaluation: Evaluation, code: ModuleCode, name: str) -> Value:
    """What a file's name of that text means."""
    from pipeline_lint.refactor.expressions import global_value

    return global_value(evaluation, code, name)


def _globals(evaluation: Evaluation, _: Arguments, node: ast.AST) -> Value:
    return namespace(evaluation, evaluation.code, node)


def _vars(evaluation: Evaluation, arguments: Arguments, _: ast.AST) -> Value:
    from pipeline_lint.refactor.expressions import attribute_of

    value: Value = EMPTY
    for token in arguments.get(0, "object"):
        value |= attribute_of(evaluation, token, "__dict__")
    return value or JUST_OPAQUE


def _evaluated(evaluation: Evaluation, _: Arguments, node: ast.AST) -> Value:
    """`eval(text)`: any class of the file, or an object of it."""
    machine = evaluation.machine
    value: Value = JUST_UNKNOWN
    for token in namespace(evaluation, evaluation.code, node):
        assert isinstance(token, Box)
        for each in machine.read_items(token, evaluation.unit):
            value |= {each}
            if isinstance(each, ClassToken):
                value |= {machine.instance(each.info)}
    return value


def _imported(evaluation: Evaluation, arguments: Arguments, _: ast.AST) -> Value:
    """`importlib.import_module(name)`."""
    machine = evaluation.machine
    names = [token.text for token in arguments.get(0, "name") if isinstance(token, Text)]
    found = [machine.find_module(name, evaluation.code) for name in names]
    known: Value = frozenset(machine.module(each) for each in found if each is not None)
    if names and all(each is not None for each in found):
        return known
    if names:
        return known | {machine.external(name) for name in names}
    # Any file of the project.
    return known | JUST_UNKNOWN | {machine.module(code) for code in list(machine.codes.values())[:_MOST_MODULES]}


_MOST_MODULES = 20
_BUILTINS: dict[str, Handler] = {
    "list": _collected("list"),
    "tuple": _collected("tuple"),
    "sorted": _sorted,
    "set": _set,
    "frozenset": _set,
    "iter": _iterated,
    "reversed": _iterated,
    "next": _next,
    "enumerate": _enumerate,
    "zip": _zip,
    "map": _map,
    "filter": _filter,
    "isinstance": _isinstance,
    "getattr": _getattr,
    "setattr": _setattr,
    "dict": _dict,
    "type": _type,
    "sum": _folded,
    "max": _extreme,
    "min": _extreme,
    "any": _iterated,
    "len": _measured,
    "all": _iterated,
    **dict.fromkeys(["print", "id", "hasattr", "repr", "str", "callable", "bool", "delattr", "dir"], _harmless),
    "hash": _hashed,
    "globals": _globals,
    "vars": _vars,
    "eval": _evaluated,
    "exec": _evaluated,
    "__import__": _evaluated,
}
_FUNCTIONS: dict[str, Handler] = {
    "torch.nn.Sequential": _sequential,
    "torch.nn.ModuleList": _module_container,
    "torch.nn.ModuleDict": _module_container,
    "torch.utils.data.ConcatDataset": _concatenated,
    "torch.utils.data.ChainDataset": _concatenated,
    "torch.utils.data.random_split": _split,
    "torch.utils.data.dataset.random_split": _split,
    "functools.partial": _partial,
    "importlib.import_module": _imported,
    **dict.fromkeys(["torch.load", "pickle.load", "pickle.loads", "joblib.load", "dill.load", "dill.loads"], _load),
    "collections.namedtuple": _named_tuple,
    "typing.NamedTuple": _named_tuple,
    "collections.OrderedDict": _dict,
    "itertools.chain": _chained,
    "itertools.cycle": _iterated,
    "itertools.islice": _iterated,
    "tqdm": _iterated,
    "trange": _harmless,
    "track": _iterated,
}
_BY_LAST_NAME = frozenset({"tqdm", "track", "trange"})
