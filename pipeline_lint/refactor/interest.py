"""Which functions have to be evaluated: those that something of interest can reach.

Of interest are the models and datasets whose outputs get names, what they return, and everything that holds or makes
them. A function is awake when it names something of interest, or gets it as an argument; all others are asleep, and
their results are taken for opaque. Most of a large project stays asleep.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable

from pipeline_lint.refactor.program import ClassInfo, FunctionInfo, ModuleCode, dotted
from pipeline_lint.refactor.tokens import Box, ClassToken, Function, Instance, Token, Value, has_names

_UNTOLD = frozenset({"forward", "__init__", "__call__", "__getitem__", "__iter__", "<lambda>"})
"""Methods that are called without being named: whoever calls them has their object, and is awake for it."""
_UNNAMED = ("children", "modules", "named_children", "named_modules", "_modules", "get_submodule")


class Interest:
    """What is of interest so far, and whom it wakes."""

    def __init__(self, codes: Iterable[ModuleCode], wake: Callable[[FunctionInfo], None]) -> None:
        self._wake = wake
        self.awake: set[FunctionInfo] = set()
        self._words: set[str] = set()
        self._hot: set[Token] = set()
        self._hot_functions: set[FunctionInfo] = set()
        self._tracked: set[ClassInfo] = set()
        self._targets: set[FunctionInfo] = set()
        self._lists: set[Box] = set()
        self._words_of: dict[Token, set[str]] = defaultdict(set)
        self._boxes_of: dict[Token, set[Box]] = defaultdict(set)
        self._holders: dict[Token, set[ClassInfo]] = defaultdict(set)
        self._returned_by: dict[Token, set[FunctionInfo]] = defaultdict(set)
        self._given_to: dict[Token, set[FunctionInfo]] = defaultdict(set)
        self._function_tokens: dict[FunctionInfo, set[Function]] = defaultdict(set)
        self._class_tokens: dict[ClassInfo, set[Token]] = defaultdict(set)
        self.subclasses: dict[ClassInfo, set[ClassInfo]] = defaultdict(set)
        self._mentions: dict[str, list[FunctionInfo]] = defaultdict(list)
        self._named: dict[str, list[FunctionInfo]] = defaultdict(list)
        for code in codes:
            for function in code.functions.values():
                self._named[function.name.rpartition(".")[2]].append(function)
                for word in function.words:
                    self._mentions[word].append(function)

    def add_word(self, word: str) -> None:
        """Wakes the functions that mention a word."""
        if word in self._words:
            return
        self._words.add(word)
        for function in self._mentions.get(word, ()):
            self.rouse(function)

    def add_target(self, info: ClassInfo, function: FunctionInfo) -> None:
        """What this method of a class returns is to be named."""
        self._targets.add(function)
        self.track(info)
        self.heat_function(function)

    def rouse(self, function: FunctionInfo) -> None:
        if function not in self.awake:
            self.awake.add(function)
            self._wake(function)

    def mentions(self, function: FunctionInfo) -> list[FunctionInfo]:
        """The functions that mention the name of one."""
        return self._mentions.get(function.name.rpartition(".")[2], [])

    def _rouse_decorators(self, decorators: Iterable[str]) -> None:
        """Wakes what decorates something of interest: it may register it, by a function that it makes."""
        for decorator in decorators:
            for function in self._named.get(decorator.rpartition(".")[2], ()):
                self.rouse(function)

    def track(self, info: ClassInfo) -> None:
        """Everything about a class is of interest: who makes it, holds it, inherits it."""
        if info in self._tracked:
            return
        self._tracked.add(info)
        self.add_word(info.name.rpartition(".")[2])
        self._rouse_decorators(map(dotted, info.node.decorator_list))
        for token in list(self._class_tokens[info]):
            self._heat(token)
        for method in info.methods.values():
            # `self` is of interest there.
            self.rouse(method)
        for each in list(self.subclasses[info]):
            self.track(each)

    def add_subclass(self, base: ClassInfo, info: ClassInfo) -> None:
        self.subclasses[base].add(info)
        if base in self._tracked:
            self.track(info)

    def add_token(self, token: Token) -> None:
        """Notes a token that was made."""
        if isinstance(token, Instance | ClassToken):
            self._class_tokens[token.info].add(token)
            if token.info in self._tracked:
                self._heat(token)
        elif isinstance(token, Function):
            self._function_tokens[token.info].add(token)
            if token.info in self._hot_functions:
                self._heat(token)

    def heat_function(self, function: FunctionInfo) -> None:
        """What a function gives is of interest."""
        if function in self._hot_functions:
            return
        self._hot_functions.add(function)
        self.rouse(function)
        self._rouse_decorators(function.decorators)
        name = function.name.rpartition(".")[2]
        if name not in _UNTOLD:
            self.add_word(name)
        elif function.owner is not None:
            self.track(function.owner)
        for token in list(self._function_tokens[function]):
            self._heat(token)

    def _heat(self, token: Token) -> None:
        if token in self._hot:
            return
        self._hot.add(token)
        for word in list(self._words_of[token]):
            self.add_word(word)
        for box in list(self._boxes_of[token]):
            self._heat(box)
        for info in list(self._holders[token]):
            self._rouse_holder(info)
        for function in list(self._returned_by[token]):
            self.heat_function(function)
        for function in list(self._given_to[token]):
            self._rouse_receiver(function)

    def _rouse_holder(self, info: ClassInfo) -> None:
        """Wakes what may take something of interest out of an object without its name."""
        for method in info.methods.values():
            self.rouse(method)
        for each in list(self.subclasses[info]):
            self._rouse_holder(each)
        for word in _UNNAMED:
            self.add_word(word)

    def _rouse_receiver(self, function: FunctionInfo) -> None:
        """Wakes a function that gets something of interest, and those that mention it: they hand it over."""
        self.rouse(function)
        name = function.name.rpartition(".")[2]
        if name not in _UNTOLD:
            self.add_word(name)

    def note(self, key: tuple[Hashable, ...], value: Value) -> None:
        """Notes what a cell holds."""
        hot = self._hot
        kind, owner = key[0], key[1]
        for token in value:
            if not isinstance(token, Instance | ClassToken | Function | Box):
                continue
            if kind == "item":
                assert isinstance(owner, Box)
                self._boxes_of[token].add(owner)
                generator = owner.code.functions.get(owner.node) if owner.kind == "iterator" else None
                if generator is not None:
                    self._returned_by[token].add(generator)
                if owner in self._lists or generator in self._targets:
                    self._heat(token)
                if token in hot:
                    self._heat(owner)
                    if generator is not None:
                        self.heat_function(generator)
            elif kind == "held":
                assert isinstance(owner, ClassInfo)
                self._holders[token].add(owner)
                if token in hot:
                    self._rouse_holder(owner)
            elif kind == "dataset":
                assert isinstance(owner, Box)
                self._boxes_of[token].add(owner)
                if token in hot:
                    self._heat(owner)
            elif kind == "return":
                assert isinstance(owner, FunctionInfo)
                self._returned_by[token].add(owner)
                if owner in self._targets and (isinstance(token, Box) or has_names(token)):
                    self._heat(token)
                    if isinstance(token, Box) and owner.name.endswith("__getitems__"):
                        self._lists.add(token)
                if token in hot:
                    self.heat_function(owner)
            elif kind == "parameter":
                assert isinstance(owner, FunctionInfo)
                self._given_to[token].add(owner)
                if token in hot:
                    self._rouse_receiver(owner)
            else:
                word = str(key[-1])
                self._words_of[token].add(word)
                if token in hot:
                    self.add_word(word)
