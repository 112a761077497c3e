"""Runs the project on paper: every function with whatever can reach it, until nothing new reaches anything.

Local variables are followed statement by statement; what crosses functions (parameters, results, attributes, globals,
the contents of containers) goes through cells that only grow. A function is evaluated again when a cell that it read
has grown.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping

from pipeline_lint.facts.module_files import ModuleFiles, absolute
from pipeline_lint.refactor.evaluation import Evaluation, evaluate_unit
from pipeline_lint.refactor.interest import Interest
from pipeline_lint.refactor.program import ClassInfo, FunctionInfo, ModuleCode
from pipeline_lint.refactor.tokens import (
    ALL,
    EMPTY,
    JUST_OPAQUE,
    JUST_UNKNOWN,
    Box,
    ClassToken,
    External,
    Function,
    Instance,
    ModuleToken,
    Text,
    Token,
    Value,
)
from pipeline_lint.refactor.uses import Uses

Unit = FunctionInfo | ModuleCode
Key = tuple[Hashable, ...]
_MOST_TOKENS = 24
"""In one cell."""
_MOST_EVALUATIONS = 60
"""Of one function; what still grows then is taken as it is, and nothing about it is proven."""


class Machine:
    """Cells, tokens and the work that is left."""

    def __init__(
        self,
        codes: Mapping[str, ModuleCode],
        files: ModuleFiles,
        targets: Iterable[tuple[ClassInfo, FunctionInfo]],
        awake: Collection[FunctionInfo] | None = None,
    ) -> None:
        self._targets = list(targets)
        self._is_first = awake is None
        self.codes = codes
        self._by_place = {absolute(path): code for path, code in codes.items()}
        self.uses = Uses()
        self.is_exhausted = False
        for code in codes.values():
            for info in code.classes.values():
                info.bases = []
        self.interest = Interest(codes.values(), self._wake)
        self.interest.awake.update(awake or ())
        self.fixtures: dict[str, list[FunctionInfo]] = defaultdict(list)
        self._files = files
        self._cells: dict[Key, Value] = {}
        self._readers: dict[Key, dict[Unit, None]] = defaultdict(dict)
        self._missing: dict[Key, Value] = {}
        self._queue: deque[Unit] = deque()
        self._queued: set[Unit] = set()
        self._times: Counter[Unit] = Counter()
        self._called: set[FunctionInfo] = set()
        self._callers: dict[FunctionInfo, set[Unit]] = defaultdict(set)
        self._tokens: dict[Hashable, Token] = {}
        self.blurred: set[Token] = set()
        self._crowded: set[Key] = set()
        self._textless: set[Key] = set()
        self.active_chains: set[Box] = set()
        self._lineages: dict[ClassInfo, list[object]] = {}
        self._modules: dict[tuple[str, str], ModuleCode | None] = {}
        self.star_imports: dict[ModuleCode, list[ModuleCode | str]] = defaultdict(list)
        self.importers: dict[ModuleCode, set[ModuleCode]] = defaultdict(set)

    def run(self) -> None:
        """Evaluates everything. Afterwards `uses` holds what is done with each container."""
        for info, function in self._targets:
            # First of all: what a target returns is of interest from the moment that it is seen.
            self.interest.add_target(info, function)
        for code in self.codes.values():
            self._enqueue(code)
        self._drain()
        mentioned = frozenset().union(*(code.mentioned for code in self.codes.values()))
        while True:
            waiting = [each for each in self.interest.awake if each not in self._called]
            if not waiting:
                break
            # Whoever calls them, though asleep, says what they are given; unknown arguments are for the others.
            if self._rouse_callers(each for each in waiting if not each.is_method):
                self._drain()
                continue
            waiting.sort(key=lambda function: (function.code.path, function.node.lineno))
            roots = [each for each in waiting if each.name.rpartition(".")[2] not in mentioned]
            methods = [each for each in waiting if each.is_method]
            self._start(roots or methods or waiting)
        for _ in range(3):
            missing = [(key, value) for key, value in self._missing.items() if not self._cells.get(key)]
            for key, value in missing:
                self.write(key, value)
            self._drain()

    def _wake(self, function: FunctionInfo) -> None:
        """Evaluates a function that has become of interest, if something has called it, and then its callers."""
        if function in self._called:
            self._enqueue(function)
        for caller in self._callers.pop(function, ()):
            self._enqueue(caller)

    def _rouse_callers(self, functions: Iterable[FunctionInfo]) -> bool:
        """Wakes what mentions one of the functions where its name means it; whether any of that was asleep."""
        before = len(self.interest.awake)
        for function in functions:
            codes = {function.code, *self.importers[function.code]}
            for caller in self.interest.mentions(function):
                if caller.code in codes:
                    self.interest.rouse(caller)
        return len(self.interest.awake) > before

    def is_asleep(self, function: FunctionInfo) -> bool:
        return function not in self.interest.awake

    def _start(self, functions: Iterable[FunctionInfo]) -> None:
        """Evaluates functions that nothing known calls, with unknown arguments."""
        for function in functions:
            self._called.add(function)
            names = [each.arg for each in _arguments(function.node.args)]
            for index, name in enumerate(names):
                is_bound = index == 0 and function.is_method
                if not is_bound and self.fixtures_for(function, name):
                    continue
                value = self._own_instances(function) if is_bound else JUST_UNKNOWN
                self.write(("parameter", function, name), value)
            self._enqueue(function)
        self._drain()

    def _own_instances(self, function: FunctionInfo) -> Value:
        """What a method that a framework calls is bound to: the classes that are made and have it, else its own."""
        owner = function.owner
        assert owner is not None
        if "classmethod" in function.decorators or function.name.endswith("__new__"):
            return frozenset({self.class_token(owner)})
        name = function.name.rpartition(".")[2]
        makers = [each for each in self.uses.constructed if owner in self.lineage(each)]
        having = [each for each in makers if self.method(each, name) is function]
        return frozenset(self.instance(each) for each in having or [owner])

    def fixtures_for(self, function: FunctionInfo, name: str) -> list[FunctionInfo]:
        """What pytest calls for a parameter of a test, or of a fixture."""
        is_test = function.name.rpartition(".")[2].startswith("test")
        if is_test or any(each.rpartition(".")[2] == "fixture" for each in function.decorators):
            return self.fixtures.get(name, [])
        return []

    def call(self, function: FunctionInfo) -> None:
        """Notes that something calls a function."""
        if function not in self._called:
            self._called.add(function)
            if function in self.interest.awake:
                self._enqueue(function)

    def read(self, key: Key, unit: Unit, missing: Value = EMPTY) -> Value:
        """What a cell holds; `missing` is what it gets if nothing else ever does."""
        self._readers[key][unit] = None
        value = self._cells.get(key, EMPTY)
        if not value and missing and key not in self._missing:
            self._missing[key] = missing
        return value

    def settle(self, key: Key) -> None:
        """Notes that a cell is empty because its value comes from elsewhere, not because nobody knows it."""
        self._missing.pop(key, None)

    def peek(self, key: Key) -> Value:
        return self._cells.get(key, EMPTY)

    def write(self, key: Key, value: Value) -> None:
        """Adds what a cell may hold. One that may hold too many things is unknown from then on."""
        old = self._cells.get(key, EMPTY)
        if key in self._textless:
            value = _without_texts(value)
        if value <= old:
            return
        self.interest.note(key, value - old)
        if key in self._crowded or len(old) + len(value) > _MOST_TOKENS:
            value = self._blurred(key, old | value)
            if value == old:
                return
            self._cells[key] = value
        else:
            self._cells[key] = old | value
        for unit in self._readers.get(key, ()):
            self._enqueue(unit)

    def _blurred(self, key: Key, value: Value) -> Value:
        """What is told apart no more; `blurred` remembers what may be met at places that do not show it."""
        if len(value) <= _MOST_TOKENS and key not in self._crowded:
            return value
        shorter = _without_texts(value)
        if len(shorter) <= _MOST_TOKENS and key not in self._crowded:
            # Texts that come later are dropped, too: a cell that lost and took them in turn would never be at rest.
            self._textless.add(key)
            return shorter
        self._crowded.add(key)
        self.blurred |= {token for token in value if isinstance(token, Instance | ClassToken | Function | Box)}
        return JUST_UNKNOWN

    def write_item(self, box: Box, key: Hashable, value: Value) -> None:
        """Puts something into a container; key None for an item that is not told apart from others."""
        self.write(("item", box, key), value)
        self.write(("item", box, ALL), value)

    def read_item(self, box: Box, key: Hashable, unit: Unit) -> Value:
        """What the item of that key can be."""
        return self.read(("item", box, key), unit) | self.read(("item", box, None), unit)

    def read_items(self, box: Box, unit: Unit) -> Value:
        """What any of the items can be."""
        return self.read(("item", box, ALL), unit)

    def _enqueue(self, unit: Unit) -> None:
        if unit not in self._queued:
            self._queued.add(unit)
            self._queue.append(unit)

    def _drain(self) -> None:
        while self._queue:
            unit = self._queue.popleft()
            self._queued.discard(unit)
            self._times[unit] += 1
            if self._times[unit] > _MOST_EVALUATIONS:
                self.is_exhausted = True
                continue
            evaluate_unit(self, unit)

    def instance(self, info: ClassInfo) -> Instance:
        return self._token(("instance", info), lambda: Instance(info))  # type: ignore[return-value]

    def class_token(self, info: ClassInfo) -> ClassToken:
        return self._token(("class", info), lambda: ClassToken(info))  # type: ignore[return-value]

    def external(self, path: str) -> Token:
        """What a path outside the project is; calls of calls are just opaque."""
        return self._token(("external", path), lambda: External(path))

    def module(self, code: ModuleCode) -> Token:
        return self._token(("module", code), lambda: ModuleToken(code))

    def function(self, info: FunctionInfo, bound: Value = EMPTY) -> Function:
        return self._token(("function", info, bound), lambda: Function(info, bound))  # type: ignore[return-value]

    def box(
        self,
        kind: str,
        code: ModuleCode,
        node: ast.AST,
        *,
        part: str = "",
        is_literal: bool = False,
        num_values: int = 0,
    ) -> Box:
        """The container that `node` makes; `part` tells several apart."""
        key = ("box", node, kind, part)
        return self._token(key, lambda: Box(kind, code, node, is_literal, num_values))  # type: ignore[return-value]

    def boxes(self, kind: str) -> list[Box]:
        """All containers of a kind that were made."""
        return [token for token in self._tokens.values() if isinstance(token, Box) and token.kind == kind]

    def token(self, key: Hashable, make: Callable[[], Token]) -> Token:
        return self._token(key, make)

    def _token(self, key: Hashable, make: Callable[[], Token]) -> Token:
        found = self._tokens.get(key)
        if found is None:
            found = self._tokens[key] = make()
            self.interest.add_token(found)
        return found

    def find_module(self, module: str, importer: ModuleCode) -> ModuleCode | None:
        """The file of the project that a module's name means in `importer`."""
        key = (module, importer.path)
        if key not in self._modules:
            path = self._files.find(module, importer.path) if module else None
            self._modules[key] = self._by_place.get(absolute(path)) if path is not None else None
        return self._modules[key]

    def known_modules(self) -> Iterable[tuple[tuple[str, str], ModuleCode | None]]:
        """The files that imports have meant, by the module's name and the importing file's path."""
        return self._modules.items()

    def global_names(self, code: ModuleCode) -> list[str]:
        """The names that a file defines or imports, in the order of the text."""
        return [str(key[2]) for key in self._cells if key[0] == "global" and key[1] is code]

    def sleeping_result(self, function: FunctionInfo, caller: Unit) -> Value:
        """What a function gives that nothing of interest reaches: in the first run, which finds those, nothing yet.

        Should the function wake later, its caller is evaluated again.
        """
        self._callers[function].add(caller)
        return EMPTY if self._is_first else JUST_OPAQUE

    def set_bases(self, info: ClassInfo, bases: list[object]) -> None:
        """Notes what a class inherits, as far as its statement has been evaluated."""
        known = list(dict.fromkeys([*info.bases, *bases]))
        if known == info.bases:
            return
        info.bases = known
        self._lineages.clear()
        for base in bases:
            if isinstance(base, ClassToken):
                self.interest.add_subclass(base.info, info)

    def lineage(self, info: ClassInfo) -> list[object]:
        """The class and what it inherits: `ClassInfo` for classes of the project, tokens for all others."""
        known = self._lineages.get(info)
        if known is not None:
            return known
        found: list[object] = []
        waiting: list[object] = [info]
        while waiting:
            each = waiting.pop(0)
            if isinstance(each, ClassToken):
                each = each.info
            if each in found:
                # A shared base comes after all that inherit it, as in Python.
                found.remove(each)
            found.append(each)
            if len(found) > 100:
                break
            if isinstance(each, ClassInfo):
                waiting = [*each.bases, *waiting]
        self._lineages[info] = found
        return found

    def method(self, info: ClassInfo, name: str, *, after: ClassInfo | None = None) -> FunctionInfo | None:
        """The method that an instance answers with; `after` starts behind that class, as `super()` does."""
        lineage = self.lineage(info)
        if after is not None and after in lineage:
            lineage = lineage[lineage.index(after) + 1 :]
        for each in lineage:
            if isinstance(each, ClassInfo) and name in each.methods:
                return each.methods[name]
        return None

    def external_bases(self, info: ClassInfo) -> list[str]:
        return [each.path for each in self.lineage(info) if isinstance(each, External)]

    def default_attribute(self, info: ClassInfo) -> Value:
        """What an attribute is that no file of the project sets."""
        lineage = self.lineage(info)
        is_known = all(isinstance(each, ClassInfo | External) for each in lineage)
        return JUST_OPAQUE if is_known else JUST_UNKNOWN


def _without_texts(value: Value) -> Value:
    """The value with what is opaque in place of its texts."""
    others = frozenset(token for token in value if not isinstance(token, Text))
    return others | JUST_OPAQUE if len(others) < len(value) else value


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    extra = [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]


__all__ = ["Evaluation", "Machine", "Unit"]
