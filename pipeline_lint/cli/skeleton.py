"""The files that `pipeline-lint rules new` writes: a rule that works, and its cases, to be changed."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline_lint.config import ConfigError, Settings

_RULE = '''"""{title}."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.edits import safe_fix, replace
from pipeline_lint.facts.code.names import Names
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


class {class_name}(Rule):
    """{title}: say here in one sentence what the defect is.

    Say why it matters, with a value that goes wrong. This example reports `torch.randn` without a generator.

    Bad:
        noise = torch.randn(3)
    Good:
        noise = torch.randn(3, generator=generator)
    Exempt: calls that give a generator.
    Fix: Safe: `generator=generator` is added.
    Source: your own experience.
    """

    code = "{code}"
    triggers = ("randn",)

    def check(self, source: Source) -> Iterator[Finding]:
        names = source.fact(Names)
        for call in source.nodes(cst.Call):
            if names.resolve(call.func) != "torch.randn" or any(_is_generator(argument) for argument in call.args):
                continue
            yield Finding(
                call,
                "`torch.randn` without `generator` draws from the global state; give it one",
                confidence=Confidence.LIKELY,
                fix=lambda call=call: safe_fix("Add the generator", _with_generator(source, call)),
            )


def _is_generator(argument: cst.Arg) -> bool:
    return argument.keyword is not None and argument.keyword.value == "generator"


def _with_generator(source: Source, call: cst.Call):
    code = source.code(call)
    separator = ", " if call.args else ""
    return replace(source, call, f"{{code[:-1].rstrip().rstrip(',')}}{{separator}}generator=generator)")
'''

_CASES = """# {name}

## A call without a generator is found and fixed

```python
import torch

noise = torch.randn(3)  # expect: {code} likely "draws from the global state"
```

```python fixed
import torch

noise = torch.randn(3, generator=generator)
```

## A call with a generator is left alone

```python
import torch

noise = torch.randn(3, generator=generator)
```
"""


def write_skeleton(topic: str, name: str, *, code: str | None, folder: Path, settings: Settings) -> tuple[Path, Path]:
    """Writes `FOLDER/TOPIC/name.py` and `name.md`; overwrites nothing.

    Raises `ConfigError` for a name that is none, is taken, or whose file exists.
    """
    from pipeline_lint.engine.catalog import all_rules

    words = [word for word in re.split(r"[-_\s]+", name.lower()) if word]
    if not words or not all(word.isidentifier() or word.isdigit() for word in words) or words[0].isdigit():
        raise ConfigError(f"`{name}` is no rule name; name the defect in lower case, as in `log-of-relu`")
    if not topic.isidentifier():
        raise ConfigError(f"`{topic}` is no topic; it becomes a folder, as in `numerics`")
    taken = {key for rule in all_rules(settings) for key in (rule.code, rule.rule_name())}
    slug = "-".join(words)
    chosen = code or _next_code(taken)
    for key in (slug, chosen):
        if key in taken:
            raise ConfigError(f"`{key}` is taken by a rule (`pipeline-lint rules` lists all)")
    if not re.fullmatch(r"[A-Z]+[0-9]+", chosen):
        raise ConfigError(f"`{chosen}` is no code; write capitals and a number, as in LOC001")
    rule_file = folder / topic / f"{'_'.join(words)}.py"
    case_file = rule_file.with_suffix(".md")
    for file in (rule_file, case_file):
        if file.exists():
            raise ConfigError(f"{file}: exists; nothing was written")
    values = {
        "title": " ".join(words).capitalize(),
        "class_name": "".join(word.capitalize() for word in words),
        "code": chosen,
        "name": slug,
    }
    rule_file.parent.mkdir(parents=True, exist_ok=True)
    rule_file.write_text(_RULE.format(**values), encoding="utf-8")
    case_file.write_text(_CASES.format(**values), encoding="utf-8")
    return rule_file, case_file


def _next_code(taken: set[str]) -> str:
    """Local rules are numbered apart from the built-in ones, whose codes are never theirs."""
    return next(code for number in range(1, 10_000) if (code := f"LOC{number:03d}") not in taken)
