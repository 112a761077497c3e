"""Whether a value is made of learned parameters alone, which move slowly and stay near where they began.

A parameter that starts at a constant or at random does not come to 88, where its exponential overflows, nor to exactly
0: its optimizer takes small steps. What a network makes of its input has no such limits.
"""

from __future__ import annotations

import libcst as cst

from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.facts.ranges.value import NUMBER, OTHER, Made, Value

_DEEPEST = 12
_MOST = 60
_NEUTRAL = frozenset("one_hot zeros ones full empty tensor zeros_like ones_like full_like".split())
"""What is a constant, and what picks rows of a parameter when it is multiplied with it."""


def is_learned(value: Value) -> bool:
    """Whether a value is a parameter, or was computed from parameters and constants and nothing else."""
    waiting, num_parameters = [(value, 0)], 0
    for _ in range(_MOST):
        if not waiting:
            break
        each, depth = waiting.pop()
        made = each.made
        if made is not None and made.operation == "parameter":
            num_parameters += 1
        elif each.is_constant or each.kind in (NUMBER, OTHER) or (made is not None and _name(made) in _NEUTRAL):
            continue
        elif depth > _DEEPEST:
            return False
        elif made is not None and made.inputs and made.operation != "call":
            waiting.extend((source, depth + 1) for source in made.inputs)
        elif made is None and each.choices:
            waiting.extend((choice, depth + 1) for choice in each.choices)
        else:
            return False
    return num_parameters > 0 and not waiting


def _name(made: Made) -> str:
    """What a value was made by; of a call that could not be followed the name of what it calls."""
    return last_name(made.node.func) if made.operation == "call" and isinstance(made.node, cst.Call) else made.operation
