"""TRN103: values that have names, taken by their position."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.modules import summarize_classes
from pipeline_lint.facts.outputs.naming import enumeration
from pipeline_lint.facts.project import Project
from pipeline_lint.refactor.by_name import PositionalAccess, positional_accesses
from pipeline_lint.refactor.named import named_results, named_uses
from pipeline_lint.refactor.reading import Reading, named_targets
from pipeline_lint.rule import Finding, ProjectRule


class PositionalOutputAccess(ProjectRule):
    """A model returns its results under names, and the code takes them by position all the same.

    Of a dict that is a mistake: `outputs[0]` raises KeyError, and `mu, logvar = model(x)` gives the two keys, so that
    the loss gets texts. That is how a change of `forward` from a tuple to a dict is left half done. A dataclass cannot
    be unpacked at all. A named tuple and a `ModelOutput` can, and then the names do not help: a value that is added in
    front moves all others.

    Models are followed to where their results are used through variables, attributes, functions, lists and wrappers,
    over all files of the project.

    Bad:
        from torch import nn

        class Encoder(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.body = nn.Linear(8, 4)

            def forward(self, x):
                mu, logvar = self.body(x).chunk(2, dim=-1)
                return {"mu": mu, "logvar": logvar}

        def encode(x):
            encoder = Encoder()
            mu, logvar = encoder(x)
            return mu - logvar

    Good:
        from torch import nn

        class Encoder(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.body = nn.Linear(8, 4)

            def forward(self, x):
                mu, logvar = self.body(x).chunk(2, dim=-1)
                return {"mu": mu, "logvar": logvar}

        def encode(x):
            encoder = Encoder()
            outputs = encoder(x)
            mu, logvar = outputs["mu"], outputs["logvar"]
            return mu - logvar

    Exempt:
        Loops over a dict and `list(outputs)`, which give its keys on purpose; `f(*outputs)` of a named tuple; values of
        which it is not certain that the model gave them; models of other packages.
    Fix:
        Safe: the values by name, written as the model writes them: constants, literals or attributes.
        None: where there are more or fewer variables than values, or a variable is called like another value.
    Source:
        https://docs.python.org/3/tutorial/datastructures.html#dictionaries
    """

    code = "TRN103"
    triggers = ("forward",)
    summaries = (summarize_classes,)

    def check_project(self, project: Project) -> Iterator[Finding]:
        """One finding for each place."""
        targets = named_targets(project)
        if not targets:
            return
        machine = project.fact(Reading).machine
        for access in positional_accesses(machine, named_uses(machine, named_results(machine, targets))):
            yield _finding(access)


def _finding(access: PositionalAccess) -> Finding:
    result = access.used.first
    who = f"`forward` of {enumeration(f'`{name}`' for name in access.used.models)}"
    if result.has_positions:
        wrong = f"`{access.code}` depends on the order of the values that {who} returns under names"
    elif access.used.use.kind == "subscript":
        error = "KeyError" if result.kind == "dict" else "TypeError"
        wrong = f"`{access.code}` asks {_what(result.kind)} that {who} returns for a position, which raises {error}"
    elif result.kind == "dict":
        wrong = f"`{access.code}` gets the keys of the dict that {who} returns, not its values"
    else:
        wrong = f"`{access.code}` takes apart the dataclass that {who} returns, which raises TypeError"
    names = enumeration(f"`{name}`" for name in result.names)
    advice = f"; take the values by name: {names}"
    refusal = f"; no fix, because {access.refusal}" if access.refusal is not None else ""
    confidence = Confidence.LIKELY if result.has_positions else Confidence.CERTAIN
    return Finding(access.place, wrong + advice + refusal, confidence=confidence, fix=access.fix)


def _what(kind: str) -> str:
    return "the dict" if kind == "dict" else "the dataclass"
