"""From what a rule found to fixes: one for each group of outputs that change together.

`NamedOutputs` is what rules ask. It reads the whole project once, however many rules and findings ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline_lint.diagnostic import Applicability, Fix
from pipeline_lint.facts.project import Project
from pipeline_lint.refactor.annotations import docstring_of, update_annotation, update_docstring
from pipeline_lint.refactor.constants import Constants
from pipeline_lint.refactor.consumers import Consumers
from pipeline_lint.refactor.doubts import Doubt, doubts_about, foreign_tokens
from pipeline_lint.refactor.keys import Keys, Style, literal_keys
from pipeline_lint.refactor.machine import Machine
from pipeline_lint.refactor.naming import Names, Unnamed, choose_names
from pipeline_lint.refactor.outputs import Group, Target, elements, find_producer, group_outputs
from pipeline_lint.refactor.program import ModuleCode
from pipeline_lint.refactor.reading import Reading
from pipeline_lint.refactor.rewriting import CannotRewrite, Rewriting, outer_span, place_of
from pipeline_lint.refactor.tokens import Box
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
        rewriting = Rewriting()
        try:
            doubts = self._rewrite(rewriting, group, names, style)
            edits = rewriting.edits()
        except CannotRewrite as refusal:
            return Proposal(refusal=str(refusal))
        doubts += list(doubts_about(self._machine, group, self._project.exists))
        outside = sorted({edit.path for edit in edits} - self._project.given)
        if outside:
            listed = ", ".join(outside[:3]) + (f" and {len(outside) - 3} more" if len(outside) > 3 else "")
            return Proposal(
                refusal=f"it would also change {listed}: run `pipeline-lint fix` on the whole project",
                doubts=tuple(doubts),
            )
        applicability = Applicability.UNSAFE if doubts else Applicability.SAFE
        num_uses = sum(use.kind != "return" for use in group.uses)
        listed = ", ".join(f"`{name}`" for name in names)
        places = f"{num_uses} place{'s' if num_uses != 1 else ''}"
        message = f"Return a dict with {listed} and take its values by name in {places}"
        return Proposal(Fix(applicability, message, edits), doubts=_distinct(doubts), names=names)

    def _rewrite(self, rewriting: Rewriting, group: Group, names: tuple[str, ...], style: Style) -> list[Doubt]:
        """Collects all edits; returns the uses that stay as they are."""
        is_dataset = any(producer.target.method != "forward" for producer in group.producers)
        provable, doubts = [], []
        for use in group.uses:
            foreign = foreign_tokens(use, group) if use.kind != "return" else None
            if foreign is not None:
                doubts.append((place_of(use.code, use.node), foreign))
            else:
                provable.append(use)
        makers = list(dict.fromkeys(site.code for site in sorted(group.sites, key=lambda site: site.code.path)))
        users = [use.code for use in provable if use.kind in _NAMING]
        constants = Constants(self._machine, rewriting, "SAMPLE" if is_dataset else "OUTPUT")
        keys = _keys(names, style, constants, makers, users)
        for site in group.sites:
            _rewrite_site(rewriting, site, keys)
        for producer in group.producers:
            update_annotation(rewriting, producer.function)
            update_docstring(rewriting, producer.function, names)
        kind = "tuple" if any(site.kind == "tuple" for site in group.sites) else "list"
        noun = "batch" if is_dataset else "outputs"
        consumers = Consumers(rewriting, keys, noun=noun, kind=kind)
        for use in provable:
            doubt = _rewrite_use(rewriting, consumers, use, group)
            if doubt is not None:
                doubts.append(doubt)
        for code, indices in keys.written.items():
            constants.bring(code, indices)
        return doubts


_NAMING = frozenset({"unpack", "subscript", "star"})
"""Kinds of uses that write the keys."""


def _keys(
    names: tuple[str, ...], style: Style, constants: Constants, makers: list[ModuleCode], users: Iterable[ModuleCode]
) -> Keys:
    if style is not Style.CONSTANTS:
        return literal_keys(names)
    written = constants.declare(names, makers[0], [*makers[1:], *users])
    return Keys(names, lambda code, index: written[code][index])


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
    """`return a, b` becomes `return {A: a, B: b}`, with its line breaks and comments."""
    code = site.code
    start, end = code.span(site.node)
    opened = code.text[start] in "([" and code.text[end - 1] in ")]" and _is_bracketed(code, site)
    if opened:
        rewriting.replace(code, start, start + 1, "{")
        rewriting.replace(code, end - 1, end, "}")
    else:
        rewriting.insert(code, start, "{")
    for index, element in enumerate(elements(site)):
        first, _ = outer_span(code, element)
        rewriting.insert(code, max(first, start), f"{keys.refer(code, index)}: ")
    if not opened:
        rewriting.insert(code, end, "}")


def _is_bracketed(code: ModuleCode, site: Box) -> bool:
    """Whether the display's own brackets enclose it: `(a, b)`, but not `(a), (b)`."""
    start, _ = code.span(site.node)
    first, _ = code.span(elements(site)[0])
    return start < first and (code.text[start] == "[" or outer_span(code, elements(site)[0])[0] > start)


def _rewrite_use(rewriting: Rewriting, consumers: Consumers, use: Use, group: Group) -> Doubt | None:
    if use.kind == "return":
        function = use.code.functions.get(use.node)
        is_whole = all(token in group.sites for token in use.value)
        if function is not None and is_whole and function not in [each.function for each in group.producers]:
            update_annotation(rewriting, function)
        return None
    try:
        consumers.rewrite(use)
    except CannotRewrite as reason:
        return place_of(use.code, use.node), str(reason)
    return None


__all__ = ["NamedOutputs", "Proposal", "Target", "propose"]
