"""The outputs that are to be named: which displays a method returns, and which of them consumers meet together."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline_lint.facts.modules import ClassSummary
from pipeline_lint.facts.outputs.returns import Output
from pipeline_lint.refactor.machine import Machine
from pipeline_lint.refactor.program import ClassInfo, FunctionInfo, ModuleCode
from pipeline_lint.refactor.tokens import ALL, NOTHING, Box, Value
from pipeline_lint.refactor.uses import Use

_TOGETHER = frozenset(
    {"unpack", "subscript", "star", "iterate", "operand", "outside", "isinstance", "columns", "match"}
)


@dataclass(frozen=True, slots=True)
class Target:
    """A method that a rule found: its results are told apart by position."""

    summary: ClassSummary
    method: str
    outputs: tuple[Output, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        return self.summary.path, self.summary.name, self.method


@dataclass(eq=False, slots=True)
class Producer:
    """A target's method, and the displays that it returns."""

    target: Target
    info: ClassInfo
    function: FunctionInfo
    sites: list[Box] = field(default_factory=list)
    problem: str | None = None
    """Why its results cannot be named, whoever takes them."""


@dataclass(eq=False, slots=True)
class Group:
    """Outputs that have to change together, because some code takes either."""

    producers: list[Producer]
    sites: set[Box]
    uses: list[Use]

    @property
    def consumers(self) -> list[Use]:
        """The uses that take values."""
        return [use for use in self.uses if use.kind not in ("return", "len")]

    @property
    def is_dataset(self) -> bool:
        """Whether the outputs are samples."""
        return any(producer.target.method != "forward" for producer in self.producers)

    @property
    def noun(self) -> str:
        """What a variable with one of the outputs is called."""
        return "batch" if self.is_dataset else "outputs"


def locate(codes: Mapping[str, ModuleCode], target: Target) -> Producer | None:
    """The method's code; None where it is out of reach."""
    code = codes.get(target.summary.path)
    found = [info for info in code.classes.values() if info.name == target.summary.name] if code is not None else []
    if not found or target.method not in found[-1].methods:
        return None
    producer = Producer(target, found[-1], found[-1].methods[target.method])
    if len(found) > 1:
        producer.problem = f"there are {len(found)} classes called `{target.summary.name}`"
    return producer


def find_producer(machine: Machine, target: Target) -> Producer | None:
    """The method with the displays that it returns; None where it is out of reach."""
    producer = locate(machine.codes, target)
    if producer is None or producer.problem is not None:
        return producer
    function = producer.function
    value = _returned(machine, function, target.method)
    producer.sites = sorted(
        (token for token in value if isinstance(token, Box) and token.is_literal and token.kind != "dict"),
        key=lambda box: box.code.span(box.node),
    )
    producer.problem = _problem(producer, value)
    return producer


def _returned(machine: Machine, function: FunctionInfo, method: str) -> Value:
    if function.is_generator:
        return machine.peek(("item", machine.box("iterator", function.code, function.node), ALL))
    value = machine.peek(("return", function))
    if method != "__getitems__":
        return value
    return frozenset().union(*(machine.peek(("item", token, ALL)) for token in value if isinstance(token, Box)))


def _problem(producer: Producer, value: Value) -> str | None:
    target = producer.target
    name = f"`{target.method}`"
    if not producer.sites:
        return f"the values of {name} are put together in more than one step"
    if len({site.num_values for site in producer.sites}) > 1:
        return f"{name} returns results of different lengths"
    others = [token for token in value if token not in producer.sites and token is not NOTHING]
    if others or NOTHING in value:
        return f"{name} returns something else on another path"
    if producer.function.is_static:
        return f"{name} is no method of the object"
    unknown = [each for each in producer.function.decorators if not each.startswith(_KNOWN_DECORATORS)]
    if unknown:
        return f"{name} is wrapped by `{unknown[0]}`, which may want a tuple"
    for site in producer.sites:
        line = site.code.document.line(site.code.document.row_of(site.code.span(site.node)[0]))
        if "# noqa" in line or "pipeline-lint: ignore" in line:
            return "a suppression comment keeps it as it is"
    return None


_KNOWN_DECORATORS = (
    "torch.",
    "autocast",
    "no_grad",
    "inference_mode",
    "override",
    "typing.override",
    "amp.",
    "final",
    "abstractmethod",
    "abc.",
    "auto_fp16",
    "force_fp32",
    "typing_extensions.",
    "profile",
)


def group_outputs(producers: Sequence[Producer], uses: Iterable[Use]) -> list[Group]:
    """Producers whose outputs meet in one use, or that return the same display, are one group."""
    parents: dict[Box, Box] = {site: site for producer in producers for site in producer.sites}

    def root_of(site: Box) -> Box:
        while parents[site] is not site:
            parents[site] = site = parents[parents[site]]
        return site

    def unite(sites: Sequence[Box]) -> None:
        for site in sites[1:]:
            parents[root_of(site)] = root_of(sites[0])

    by_root: dict[Box, list[Use]] = defaultdict(list)
    for producer in producers:
        unite(producer.sites)
    relevant = [(use, [t for t in use.value if isinstance(t, Box) and t in parents]) for use in uses]
    relevant = [(use, sites) for use, sites in relevant if sites]
    for use, sites in relevant:
        if use.kind in _TOGETHER:
            unite(sites)
    for use, sites in relevant:
        for root in {root_of(site) for site in sites}:
            by_root[root].append(use)
    groups: dict[Box, Group] = {}
    for producer in producers:
        if producer.sites:
            root = root_of(producer.sites[0])
            group = groups.setdefault(root, Group([], set(), by_root[root]))
            group.producers.append(producer)
            group.sites.update(producer.sites)
    return list(groups.values())


def elements(site: Box) -> list[ast.expr]:
    """The values of a tuple or list that is written out."""
    assert isinstance(site.node, ast.Tuple | ast.List)
    return site.node.elts
