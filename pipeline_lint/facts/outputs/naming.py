"""Words for messages about results without names: how many there are, and what they could be called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pipeline_lint.diagnostic import Place
from pipeline_lint.facts.code.branches import Switch
from pipeline_lint.facts.outputs.returns import Output


def legacy_free(outputs: Sequence[Output]) -> list[Output]:
    """The outputs without the tuples of a function whose callers may ask for them instead of named results."""
    if any(guard.switch is Switch.LEGACY for output in outputs for guard in output.guards):
        return [output for output in outputs if output.shape.kind not in ("tuple", "list", "sequence")]
    return list(outputs)


def count(output: Output) -> str:
    """`3 values`, `at least 2 values`."""
    return f"{'' if output.shape.is_exact else 'at least '}{output.shape.num_values} values"


def proposal(output: Output) -> str:
    """What to write instead: a dict with the keys that the code suggests, or which value first needs a name."""
    nameless = [index for index, name in enumerate(output.names) if name is None]
    if not output.names or (nameless and len(nameless) == len(output.names)):
        return "name each value and return a dict"
    if nameless:
        values = enumeration(f"{index + 1} (`{output.codes[index]}`)" for index in nameless)
        plural = "s" if len(nameless) > 1 else ""
        return f"give value{plural} {values} a name and return a dict"
    doubled = [name for name, times in Counter(output.names).items() if times > 1]
    if doubled:
        positions = enumeration(str(index + 1) for index, name in enumerate(output.names) if name == doubled[0])
        return f"return a dict, with different names for values {positions}, which are both `{doubled[0]}` in the code"
    return f"return a dict with the keys {enumeration(f'`{name}`' for name in output.names)}"


def related_returns(outputs: Iterable[Output]) -> tuple[tuple[Place, str], ...]:
    """The further places of a function that return values by position."""
    return tuple((output.place, f"{count(output)} here") for output in outputs if output.place is not None)


def enumeration(items: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last
