"""What the values of an output are called: by the code that makes them, by the code that takes them, by their author.

Sources of names, the first that knows counts: the values as they are written, the variables that consumers unpack
into, the docstring's section on what is returned. What is written as an operation, `torch.sigmoid(...)`, or as a
letter, `a`, is called by what its consumers agree on first.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline_lint.facts.outputs.value_names import NAMED_BY_OPERATION
from pipeline_lint.refactor.uses import Use

Names = tuple[str | None, ...]

_WORDLESS = frozenset({"_", "__", "a", "b", "c", "d", "e", "i", "j", "k", "n", "o", "r", "t", "v", "self", "args"})
_NO_KEYS = frozenset({"self", "cls", "None"})
_ITEM = re.compile(r"^\s*[-*]?\s*`{0,2}(?P<name>[A-Za-z_]\w*)`{0,2}\s*(?:\([^)]*\))?\s*:(?!:)")
_SECTION = re.compile(r"^\s*(?:Returns?|Yields?|Outputs?)\s*:?\s*$|^\s*:returns?:")


@dataclass(frozen=True, slots=True)
class Unnamed:
    """Why the values cannot be named, for the message."""

    reason: str


def choose_names(
    written: Sequence[Names], uses: Iterable[Use], docstring: str | None, codes: Sequence[str]
) -> tuple[str, ...] | Unnamed:
    """One honest name for each value, or the reason why there is none.

    `written` holds the names on each path that returns; `codes` are the values as one of them is written.
    """
    num_values = len(codes)
    contradiction = _contradiction(written)
    if contradiction is not None:
        return Unnamed("`{}` is value {} on one path and value {} on another".format(*contradiction))
    called = [list(dict.fromkeys(name for names in written if (name := names[i]))) for i in range(num_values)]
    first = tuple(each[0] if len(each) == 1 else None for each in called)
    unpacked = _unpacked(uses, num_values)
    first = _without_weak_names(first, unpacked)
    found = _completed(first, _agreed(unpacked, called), _documented(docstring, num_values))
    nameless = [index for index, name in enumerate(found) if name is None]
    disputed = next((index for index in nameless if len(called[index]) > 1), None)
    if disputed is not None:
        one, other = called[disputed][:2]
        return Unnamed(f"value {disputed + 1} is `{one}` on one path and `{other}` on another")
    if nameless:
        values = " and ".join(f"{index + 1} (`{codes[index]}`)" for index in nameless)
        return Unnamed(
            f"value{'s' if len(nameless) > 1 else ''} {values} {'have' if len(nameless) > 1 else 'has'} no name"
        )
    names = tuple(name for name in found if name is not None)
    doubled = [name for name, times in Counter(names).items() if times > 1]
    if doubled:
        return Unnamed(f"two values are called `{doubled[0]}`")
    contradiction = _contradiction([names, *unpacked])
    if contradiction is not None and contradiction[0] in names:
        return Unnamed("`{}` is value {} for some of its users and value {} for others".format(*contradiction))
    return names


def _contradiction(written: Sequence[Names]) -> tuple[str, int, int] | None:
    """A name that two of those who name the values give to different ones, and the numbers of these."""
    places: dict[str, set[int]] = {}
    for names in written:
        for index, name in enumerate(names):
            if name is not None and names.count(name) == 1:
                places.setdefault(name, set()).add(index)
    for name, indices in places.items():
        if len(indices) > 1:
            first, second = sorted(indices)[:2]
            return name, first + 1, second + 1
    return None


def _without_weak_names(first: Names, unpacked: Sequence[Names]) -> Names:
    """The names without operations and letters for which the consumers have one word that names no other value."""
    names = list(first)
    for index, name in enumerate(first):
        theirs = {each[index] for each in unpacked} - {None}
        if name in NAMED_BY_OPERATION | _WORDLESS and len(theirs) == 1:
            (candidate,) = theirs
            if candidate and is_key(candidate) and candidate not in _WORDLESS and candidate not in first:
                names[index] = None
    return tuple(names)


def _agreed(unpacked: Sequence[Names], called: Sequence[Sequence[str]]) -> list[Names]:
    """What consumers call the values; where paths dispute, only a name that settles it: one that all others share."""
    settled = []
    for index, names in enumerate(called):
        theirs = {each[index] for each in unpacked} - _WORDLESS - {None}
        new = theirs - set(names)
        settled.append(len(names) < 2 or len(new or theirs) == 1)
        if len(names) > 1 and len(new) == 1:
            unpacked = [(*each[:index], *(new & {each[index]} or {None}), *each[index + 1 :]) for each in unpacked]
    return [tuple(name if keep else None for name, keep in zip(each, settled, strict=True)) for each in unpacked]


def _completed(first: Names, *others: Sequence[Names]) -> Names:
    """The names, doubled or missing ones taken from what others call the values."""
    counts = Counter(name for name in first if name)
    names: list[str | None] = [name if name and counts[name] == 1 and is_key(name) else None for name in first]
    doubled = {name for name, times in counts.items() if times > 1}
    for alternatives in others:
        for index, name in enumerate(names):
            if name is not None:
                continue
            for each in alternatives:
                candidate = each[index]
                if candidate and candidate not in names and is_key(candidate) and candidate not in doubled | _WORDLESS:
                    names[index] = candidate
                    break
    return tuple(names)


def is_key(name: str) -> bool:
    """Whether a key may be called so."""
    return name.isidentifier() and not keyword.iskeyword(name) and name not in _NO_KEYS and bool(name.strip("_"))


def _unpacked(uses: Iterable[Use], num_values: int) -> list[Names]:
    targets = [use.node for use in uses if use.kind == "unpack" and isinstance(use.node, ast.Tuple | ast.List)]
    return [tuple(map(_target_name, each.elts)) for each in targets if len(each.elts) == num_values]


def _target_name(node: ast.expr) -> str | None:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_") or None
    return None


def _documented(docstring: str | None, num_values: int) -> list[Names]:
    """The names that the section on results lists, if it lists as many as there are values."""
    if not docstring:
        return []
    lines = docstring.splitlines()
    start = next((index for index, line in enumerate(lines) if _SECTION.match(line)), None)
    if start is None:
        return []
    names: list[str] = []
    for line in lines[start + 1 :]:
        if not line.strip() and names:
            break
        match = _ITEM.match(line)
        if match is not None:
            names.append(match["name"])
    return [tuple(names)] if len(names) == num_values else []
