"""From what a rule found to fixes: one for each group of outputs that change together.

`NamedOutputs` is what rules ask. It reads the whole project once, however many rules and findings ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline_lint.diagnostic import Applicability, Fix
from pipeline_lint.facts.project import Project
from pipeline_lint.refactor.annotations import (
    docstring_of,
    has_positional_annotation,
    update_annotation,
    update_docstring,
)
from pipeline_lint.refactor.constants import Constants
from pipeline_lint.refactor.consumers import Consumers
from pipeline_lint.refactor.doubts import Doubt, doubts_about, doubts_about_objects, foreign_tokens, is_collated, rival
from pipeline_lint.refactor.keys import Keys, Style, literal_keys
from pipeline_lint.refactor.machine import Machine
from pipeline_lint.refactor.naming import Names, Unnamed, choose_names
from pipeline_lint.refactor.outputs import Group, Target, elements, find_producer, group_outputs
from pipeline_lint.refactor.program import FunctionInfo, ModuleCode
from pipeline_lint.refactor.reading import Reading
from pipeline_lint.refactor.result_class import ResultClass
from pipeline_lint.refactor.rewriting import CannotRewrite, Rewriting, outer_span, place_of
from pipeline_lint.refactor.tokens import JUST_NOTHING, JUST_UNKNOWN, Box, Value
from pipeline_lint.refactor.uses import Use

Key = tuple[str, str, str]
_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Proposal:
    """What can be done about one finding."""

    fix: Fix | None = None
    refusal: str | None = None
    """Why there is no fix."""
    doubts: tuple[Doubt, ...] = ()
    """Consumers that could not be resolved, which make the fix unsafe."""
    names: tuple[str, ...] = ()
    """The keys of the fix, for the message; consumers may have had a word in them."""

    @property
    def remark(self) -> str:
        """What to add to the message: why there is no fix, or what a person has to look at before an unsafe one."""
        if self.refusal is not None:
            return f"; no fix, because {self.refusal}"
        if not self.doubts:
            return ""
        shown = [f"{text} ({place})" for place, text in self.doubts[:_MOST_SHOWN]]
        more = len(self.doubts) - len(shown)
        return f"; not proven: {'; '.join(shown)}" + (f" and {more} more" if more else "")


def propose(project: Project, targets: Sequence[Target], style: str) -> Mapping[Key, Proposal]:
    """What can be done about each target, in a style of the option `output-style`."""
    return project.fact(NamedOutputs).propose(targets, Style(style))


class NamedOutputs:
    """The refactoring of one project; ask for it by `project.fact(NamedOutputs)`."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._reading = project.fact(Reading)

    @property
    def _machine(self) -> Machine:
        return self._reading.machine

    def propose(self, targets: Sequence[Target], style: Style) -> Mapping[Key, Proposal]:
        """What can be done about each target."""
        if not targets:
            return {}
        machine = self._machine
        found = {target.key: find_producer(machine, target) for target in targets}
        producers = [producer for producer in found.values() if producer is not None]
        proposals = {
            key: Proposal(refusal="its file cannot be read here") for key, each in found.items() if each is None
        }
        for producer in producers:
            if not producer.sites:
                proposals[producer.target.key] = Proposal(refusal=producer.problem)
        for group in group_outputs(producers, machine.uses.uses.values()):
            proposal = self._propose_for(group, style)
            proposals.update({producer.target.key: proposal for producer in group.producers})
        return proposals

    def _propose_for(self, group: Group, style: Style) -> Proposal:
        for producer in group.producers:
            if producer.problem is not None:
                return Proposal(refusal=producer.problem)
        if len({site.num_values for site in group.sites}) > 1:
            return Proposal(refusal=f"the same code also takes results of another length, from {_others(group)}")
        names = _names_of(group)
        if isinstance(names, Unnamed):
            return Proposal(refusal=names.reason)
        if style is Style.DATACLASS and is_collated(self._machine, group):
            return Proposal(refusal="a `DataLoader` collates no dataclasses; the style `typed-dict` has classes, too")
        rewriting = Rewriting()
        try:
            doubts = self._rewrite(rewriting, group, names, style)
            edits = rewriting.edits()
        except CannotRewrite as refusal:
            return Proposal(refusal=str(refusal))
        doubts += list(doubts_about(self._machine, group, self._project.exists))
        if style is Style.DATACLASS:
            doubts += list(doubts_about_objects(self._machine, group))
        outside = sorted({edit.path for edit in edits} - self._project.given)
        if outside:
            listed = ", ".join(outside[:3]) + (f" and {len(outside) - 3} more" if len(outside) > 3 else "")
            return Proposal(
                refusal=f"it would also change {listed}: run `pipeline-lint fix` on the whole project",
                doubts=tuple(doubts),
            )
        applicability = Applicability.UNSAFE if doubts else Applicability.SAFE
        num_uses = len(group.consumers)
        listed = ", ".join(f"`{name}`" for name in names)
        places = f"{num_uses} place{'s' if num_uses != 1 else ''}"
        what = {Style.TYPED_DICT: "typed dict", Style.DATACLASS: "dataclass"}.get(style, "dict")
        message = f"Return a {what} with {listed} and take its values by name in {places}"
        return Proposal(Fix(applicability, message, edits), doubts=_distinct(doubts), names=names)

    def _rewrite(self, rewriting: Rewriting, group: Group, names: tuple[str, ...], style: Style) -> list[Doubt]:
        """Collects all edits; returns the uses that stay as they are."""
        rewritten, doubts = _rewritten(group, style)
        functions = _annotated(group, rewritten)
        constants = Constants(self._machine, rewriting, "SAMPLE" if group.is_dataset else "OUTPUT")
        keys = self._keys(rewriting, constants, _Named(group, names, style, functions, rewritten))
        for site in group.sites:
            _rewrite_site(rewriting, site, keys)
        own = {producer.function: producer.target.method for producer in group.producers}
        for function in functions:
            adds = own.get(function) in ("forward", "__getitem__")
            update_annotation(rewriting, function, keys.maker, adds=adds)
        for function in own:
            update_docstring(rewriting, function, names, keys.noun)
        kind = "tuple" if any(site.kind == "tuple" for site in group.sites) else "list"
        consumers = Consumers(rewriting, keys, noun=group.noun, kind=kind)
        for use in rewritten:
            doubt = _rewrite_use(consumers, use)
            if doubt is not None:
                doubts.append(doubt)
        for code, indices in keys.written.items():
            constants.bring(code, indices)
        return doubts

    def _keys(self, rewriting: Rewriting, constants: Constants, named: _Named) -> Keys:
        names = named.names
        if not named.style.has_class:
            if named.style is Style.LITERALS:
                return literal_keys(names)
            makers = sorted({site.code for site in named.group.sites}, key=lambda code: code.path)
            users = [use.code for use in named.uses if use.kind in _NAMING]
            written = constants.declare(names, makers[0], [*makers[1:], *users])
            return Keys(names, lambda code, index: written[code][index])
        result_class = ResultClass(self._machine, rewriting, named.style)
        result_class.declare(named.group, names, named.functions)
        is_attribute = named.style is Style.DATACLASS

        def spelling(_: ModuleCode, index: int) -> str:
            return names[index] if is_attribute else f'"{names[index]}"'

        return Keys(names, spelling, is_attribute, result_class.refer, f"`{result_class.name}`")


@dataclass(frozen=True, slots=True)
class _Named:
    """A group with the names of its values."""

    group: Group
    names: tuple[str, ...]
    style: Style
    functions: Sequence[FunctionInfo]
    """Those whose annotations speak of it."""
    uses: Sequence[Use]


def _rewritten(group: Group, style: Style) -> tuple[list[Use], list[Doubt]]:
    """The uses to rewrite, of nothing known but the group's outputs, and what some of the uses may get besides.

    Raises `CannotRewrite` where one of them takes another tuple apart, too, so that a fix would break it.
    """
    rewritten, doubts = [], []
    for use in group.uses:
        if use.kind == "len" and style is not Style.DATACLASS:
            # A dict has as many keys as the tuple had values.
            continue
        other = rival(use, group)
        if other is not None:
            raise CannotRewrite(f"{place_of(use.code, use.node)} takes apart what {other} makes, too")
        foreign = foreign_tokens(use, group) if use.kind != "return" else None
        if foreign is not None:
            doubts.append((place_of(use.code, use.node), foreign))
        if foreign is None or (use.kind in _NAMING and _besides(use, group) <= JUST_UNKNOWN):
            # Of all that is known only ours gets to an unknown place: left as it is, it would break for sure.
            rewritten.append(use)
    return rewritten, doubts


def _besides(use: Use, group: Group) -> Value:
    return use.value - group.sites - JUST_NOTHING


def _annotated(group: Group, uses: Iterable[Use]) -> list[FunctionInfo]:
    """The producers, and the functions that pass their outputs on and say so."""
    functions = [producer.function for producer in group.producers]
    for use in uses:
        function = use.code.functions.get(use.node) if use.kind == "return" else None
        if function is None or function in functions or not group.sites.issuperset(use.value):
            continue
        if has_positional_annotation(function):
            functions.append(function)
    return functions


_NAMING = frozenset({"unpack", "subscript", "star"})
"""Kinds of uses that write the keys."""


def _names_of(group: Group) -> tuple[str, ...] | Unnamed:
    written: list[Names] = []
    codes: Sequence[str] = ()
    for producer in group.producers:
        for output in producer.target.outputs:
            written.append(output.names)
            codes = codes or output.codes
    docstrings = [docstring_of(producer.function) for producer in group.producers]
    docstring = next((each for each in docstrings if each), None)
    first = group.producers[0].sites[0]
    if any(len(names) != first.num_values for names in written):
        return Unnamed("its values are put together in more than one step")
    codes = codes or [first.code.source(each) for each in elements(first)]
    return choose_names(written, group.uses, docstring, codes)


def _others(group: Group) -> str:
    return " and ".join(f"`{producer.info.name}`" for producer in group.producers[:3])


def _distinct(doubts: Iterable[Doubt]) -> tuple[Doubt, ...]:
    found = {(str(place), text): (place, text) for place, text in doubts}
    return tuple(found[key] for key in sorted(found))


def _rewrite_site(rewriting: Rewriting, site: Box, keys: Keys) -> None:
    """`return a, b` becomes `return {A: a, B: b}` or `return VAEOutput(a=a, b=b)`; line breaks and comments stay."""
    code = site.code
    start, end = code.span(site.node)
    opening, closing = ("{", "}") if keys.maker is None else (f"{keys.maker(code)}(", ")")
    opened = code.text[start] in "([" and code.text[end - 1] in ")]" and _is_bracketed(code, site)
    if opened:
        rewriting.replace(code, start, start + 1, opening)
        rewriting.replace(code, end - 1, end, closing)
    else:
        rewriting.insert(code, start, opening)
    for index, element in enumerate(elements(site)):
        first, _ = outer_span(code, element)
        key = f"{keys.refer(code, index)}: " if keys.maker is None else f"{keys.names[index]}="
        rewriting.insert(code, max(first, start), key)
    if not opened:
        rewriting.insert(code, end, closing)


def _is_bracketed(code: ModuleCode, site: Box) -> bool:
    """Whether the display's own brackets enclose it: `(a, b)`, but not `(a), (b)`."""
    start, _ = code.span(site.node)
    first, _ = code.span(elements(site)[0])
    return start < first and (code.text[start] == "[" or outer_span(code, elements(site)[0])[0] > start)


def _rewrite_use(consumers: Consumers, use: Use) -> Doubt | None:
    try:
        consumers.rewrite(use)
    except CannotRewrite as reason:
        return place_of(use.code, use.node), str(reason)
    return None


__all__ = ["NamedOutputs", "Proposal", "Target", "propose"]
