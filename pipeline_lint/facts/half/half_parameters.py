"""Which parameters are float16 where an optimizer takes them over: models that `.half()` or a dtype made so before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.branches import always_leaves
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.code.names import Names, dotted_name
from pipeline_lint.facts.modules import Modules
from pipeline_lint.source import Source

_DTYPES = {
    "torch.float16": "float16",
    "torch.half": "float16",
    "torch.bfloat16": "bfloat16",
    "torch.float": "float32",
    "torch.float32": "float32",
    "torch.double": "float64",
    "torch.float64": "float64",
}
_CASTS = {"half": "float16", "bfloat16": "bfloat16", "float": "float32", "double": "float64"}
_KEEPS_DTYPE = frozenset({"cpu", "cuda", "eval", "requires_grad_", "to", "train"})
_WRAPPERS = frozenset({"DataParallel", "DistributedDataParallel", "DDP", "compile"})
_DTYPE_KEYWORDS = frozenset({"dtype", "torch_dtype"})
_PARAMETERS = frozenset({"named_parameters", "parameters"})
_BRANCHES = (cst.If, cst.Else, cst.For, cst.While, cst.Try, cst.ExceptHandler)
_UNKNOWN = ""
_MOST_STEPS = 20


@dataclass(frozen=True, slots=True, eq=False)
class HalfSource:
    """What made parameters float16."""

    node: cst.BaseExpression
    is_certain: bool
    """False where it stands in a branch that need not have run."""


@dataclass(frozen=True, slots=True, eq=False)
class _Cast:
    """A place where the dtype of a variable may change."""

    node: cst.BaseExpression
    dtype: str
    """`_UNKNOWN` where the variable gets another value."""


class HalfParameters:
    """The float16 parameters of one file: `source.fact(HalfParameters)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names = source.fact(Names)
        self._casts: dict[tuple[int, str], list[_Cast]] = {}
        self._collect()

    def among(self, parameters: cst.BaseExpression) -> HalfSource | None:
        """What made some of the parameters in an optimizer's first argument float16; None where nothing says so."""
        for holder in self._holders(parameters):
            found = self._half_before(holder, at=parameters)
            if found is not None:
                return found
        return None

    def _holders(self, node: cst.BaseExpression, depth: int = 0) -> Iterator[cst.BaseExpression]:
        """The models and tensors that parameters are taken from."""
        if depth > _MOST_STEPS:
            return
        match node:
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=name))) if name in _PARAMETERS:
                yield owner
            case cst.Call(args=args):
                for argument in args:
                    yield from self._holders(argument.value, depth + 1)
            case cst.List(elements=elements) | cst.Tuple(elements=elements):
                for element in elements:
                    yield from self._holders(element.value, depth + 1)
            case cst.Dict(elements=elements):
                for entry in elements:
                    if isinstance(entry, cst.DictElement) and _is_text(entry.key, "params"):
                        yield from self._holders(entry.value, depth + 1)
            case cst.ListComp(for_in=clause) | cst.GeneratorExp(for_in=clause):
                yield from self._holders(clause.iter, depth + 1)
            case cst.Name():
                value = self._source.fact(Flow).value_of(node)
                if isinstance(value, cst.Call | cst.List | cst.ListComp | cst.GeneratorExp) and _has_parameters(value):
                    yield from self._holders(value, depth + 1)
                else:
                    yield node
            case cst.Attribute():
                yield node

    def _half_before(self, holder: cst.BaseExpression, *, at: cst.CSTNode) -> HalfSource | None:
        """The cast that decides the dtype of a variable at a place, if it is one to float16."""
        if not dotted_name(holder):
            dtype, node = self._dtype_of(holder)
            return HalfSource(node, is_certain=True) if dtype == "float16" else None
        above = {id(each) for each in self._source.ancestors(at)}
        state: HalfSource | None = None
        for cast in self._casts_of(dotted_name(holder), at):
            if self._is_after(cast.node, at):
                break
            branches = [
                each
                for each in self._source.ancestors(cast.node)
                if isinstance(each, _BRANCHES) and id(each) not in above
            ]
            if any(always_leaves(branch.body) for branch in branches):
                continue
            state = HalfSource(cast.node, is_certain=not branches) if cast.dtype == "float16" else None
        return state

    def _casts_of(self, path: str, at: cst.CSTNode) -> list[_Cast]:
        """The casts of a variable and of what it is part of, in the innermost scope that has any."""
        prefixes = [path]
        while "." in prefixes[-1]:
            prefixes.append(prefixes[-1].rpartition(".")[0])
        prefixes = [each for each in prefixes if each not in ("self", "cls")]
        scopes: list[cst.CSTNode | None] = [self._source.function_of(at), self._source.module]
        owner = self._source.fact(Modules).class_of(at) if path.startswith("self.") else None
        if owner is not None:
            scopes[1:] = [owner.methods.get("__init__")]
        for scope in scopes:
            found = [cast for each in prefixes for cast in self._casts.get((id(scope), each), [])]
            if found:
                return sorted(found, key=lambda cast: self._source.span(cast.node)[0])
        return []

    def _is_after(self, node: cst.CSTNode, at: cst.CSTNode) -> bool:
        return self._source.function_of(node) is self._source.function_of(at) and (
            self._source.span(node)[0] > self._source.span(at)[0]
        )

    def _collect(self) -> None:
        """Notes values given to names and attributes, and casts that stand as statements, which change modules."""
        for target in self._source.nodes(cst.AssignTarget):
            assign = self._source.parent(target)
            if isinstance(assign, cst.Assign):
                self._note(target.target, assign.value)
        for annotated in self._source.nodes(cst.AnnAssign):
            if annotated.value is not None:
                self._note(annotated.target, annotated.value)
        for statement in self._source.nodes(cst.Expr):
            dtype, node = self._dtype_of(statement.value)
            path = dotted_name(_chain_root(statement.value))
            # A dtype among the keywords of any other call says nothing of its owner.
            if path and isinstance(node, cst.Call) and self._cast_dtype(node):
                self._add(path, _Cast(node, dtype))

    def _note(self, target: cst.BaseExpression, value: cst.BaseExpression) -> None:
        if isinstance(target, cst.Tuple | cst.List):
            for part in target.elements:
                if dotted_name(part.value):
                    self._add(dotted_name(part.value), _Cast(part.value, _UNKNOWN))
            return
        path = dotted_name(target)
        dtype, node = self._dtype_of(value)
        # `model = model.cuda()` leaves things as they are.
        if path and (dtype or dotted_name(node) != path):
            self._add(path, _Cast(node if dtype else value, dtype))

    def _add(self, path: str, cast: _Cast) -> None:
        scope = self._source.function_of(cast.node) or self._source.module
        self._casts.setdefault((id(scope), path), []).append(cast)

    def _dtype_of(self, node: cst.BaseExpression) -> tuple[str, cst.BaseExpression]:
        """The dtype that an expression gives its parameters, and the call that does; else what it is made from."""
        for _ in range(_MOST_STEPS):
            if not isinstance(node, cst.Call):
                break
            dtype = self._cast_dtype(node) or self._keyword_dtype(node)
            if dtype:
                return dtype, node
            if called_name(node) in _WRAPPERS and node.args:
                node = node.args[0].value
            elif isinstance(node.func, cst.Attribute) and node.func.attr.value in _KEEPS_DTYPE:
                node = node.func.value
            else:
                break
        return _UNKNOWN, node

    def _cast_dtype(self, call: cst.Call) -> str:
        """The dtype of `x.half()`, `x.to(torch.float16)`; `_UNKNOWN` for other calls."""
        match call:
            case cst.Call(func=cst.Attribute(attr=cst.Name(value=name)), args=[]):
                return _CASTS.get(name, _UNKNOWN)
            case cst.Call(func=cst.Attribute(attr=cst.Name(value="to" | "type")), args=args):
                dtypes = (self._dtype_named(arg.value) for arg in args if arg.keyword is None or _is_dtype(arg))
                return next(filter(None, dtypes), _UNKNOWN)
        return _UNKNOWN

    def _keyword_dtype(self, call: cst.Call) -> str:
        """The dtype of `Net.from_pretrained(path, torch_dtype=torch.float16)`, `nn.Linear(2, 2, dtype=torch.half)`."""
        return next((self._dtype_named(arg.value) for arg in call.args if _is_dtype(arg)), _UNKNOWN)

    def _dtype_named(self, node: cst.BaseExpression) -> str:
        return _DTYPES.get(self._names.resolve(node) or "", _UNKNOWN)


def _chain_root(node: cst.BaseExpression) -> cst.BaseExpression:
    """`model` of `model.cuda().half()`."""
    while isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        node = node.func.value
    return node


def _is_dtype(argument: cst.Arg) -> bool:
    return argument.keyword is not None and argument.keyword.value in _DTYPE_KEYWORDS


def _is_text(node: cst.BaseExpression, text: str) -> bool:
    return isinstance(node, cst.SimpleString) and node.evaluated_value == text


def _has_parameters(node: cst.BaseExpression) -> bool:
    """Whether an expression gathers parameters, rather than being a model or a tensor."""
    match node:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value=name))) if name in _PARAMETERS:
            return True
        case cst.Call(args=args):
            return any(_has_parameters(argument.value) for argument in args)
        case cst.ListComp(for_in=clause) | cst.GeneratorExp(for_in=clause):
            return _has_parameters(clause.iter)
        case cst.List():
            return True
    return False
