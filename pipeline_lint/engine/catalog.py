"""All rules, found in `rules/` and in the folders that `local-rules` names, and which of them are selected."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from pipeline_lint import rules as builtin_package
from pipeline_lint.config import ConfigError, Settings, suggestion
from pipeline_lint.engine.local_rules import local_rule_files
from pipeline_lint.rule import Rule

RuleClass = type[Rule]


@functools.cache
def builtin_rules() -> tuple[RuleClass, ...]:
    """The rules of this package, by code."""
    found: list[RuleClass] = []
    for module in pkgutil.walk_packages(builtin_package.__path__, builtin_package.__name__ + "."):
        if not module.ispkg:
            found.extend(_rules_in(importlib.import_module(module.name)))
    return tuple(sorted(found, key=lambda rule: rule.code))


def all_rules(settings: Settings) -> tuple[RuleClass, ...]:
    """The built-in and the local rules, by code.

    Raises `ConfigError` where two rules share a code or a name, or a local rule cannot be loaded.
    """
    known: dict[str, RuleClass] = {}
    for rule in (*builtin_rules(), *_local_rules(settings)):
        for key in (rule.code, rule.rule_name()):
            if key in known and known[key] is not rule:
                raise ConfigError(f"{inspect.getfile(rule)}: `{key}` is taken by {inspect.getfile(known[key])}")
            known[key] = rule
    return tuple(sorted(set(known.values()), key=lambda rule: rule.code))


def selected_rules(settings: Settings) -> tuple[Rule, ...]:
    """The rules to run, with their options.

    The more specific selector wins, as with ruff: `select = ["TRN2"]` with `ignore = ["TRN204"]` runs all but one, and
    `select = ["TRN204"]` with `ignore = ["TRN2"]` runs just one.

    Raises `ConfigError` for a selector or an options table that names no rule, and for an option of the wrong type.
    """
    rules = all_rules(settings)
    _require_known(settings, rules)
    return tuple(_with_options(rule, settings) for rule in rules if _is_selected(rule, settings))


def find_rule(word: str, settings: Settings) -> RuleClass:
    """The rule with this code or name, in any case. Raises `ConfigError` with the nearest one."""
    rules = all_rules(settings)
    for rule in rules:
        if word.lower() in (rule.code.lower(), rule.rule_name()):
            return rule
    known = [name for rule in rules for name in (rule.code, rule.rule_name())]
    raise ConfigError(f"no rule `{word}`{suggestion(word, known)} (`pipeline-lint rules` lists all)")


def _is_selected(rule: RuleClass, settings: Settings) -> bool:
    chosen = [_specificity(rule, selector) for selector in (*settings.select, *settings.extend_select)]
    if not settings.select and rule.is_default:
        chosen.append(1)
    ignored = [_specificity(rule, selector) for selector in settings.ignore]
    return max(chosen, default=0) > max(ignored, default=0)


def _specificity(rule: RuleClass, selector: str) -> int:
    """0 where the selector does not mean the rule; a longer prefix of the code counts more, the whole code most."""
    if selector == "ALL":
        return 1
    if selector == rule.topic():
        return 2
    if selector.lower() == rule.rule_name():
        return 100
    if rule.code.startswith(selector.upper()):
        return 100 if len(selector) == len(rule.code) else 1 + len(selector)
    return 0


def _require_known(settings: Settings, rules: Sequence[RuleClass]) -> None:
    where = str(settings.origin or "command line")
    words = ["ALL", *(rule.code for rule in rules), *(rule.rule_name() for rule in rules), *{r.topic() for r in rules}]
    per_file = {f"per-file-ignores.{pattern}": names for pattern, names in settings.per_file_ignores}
    lists = {
        key: getattr(settings, key.replace("-", "_")) for key in ("select", "extend-select", "ignore", "unfixable")
    }
    for key, selectors in {**lists, **per_file}.items():
        for selector in selectors:
            if not any(_specificity(rule, selector) for rule in rules):
                raise ConfigError(f"{where}: `{key}` names no rule: `{selector}`{suggestion(selector, words)}")
    names = {rule.rule_name(): rule for rule in rules}
    for name, _ in settings.rule_options:
        if name not in names:
            raise ConfigError(f"{where}: unknown key `tool.pipeline-lint.{name}`{suggestion(name, names)}")


def _with_options(rule: RuleClass, settings: Settings) -> Rule:
    where = str(settings.origin or "command line")
    options = settings.options_of(rule.rule_name())
    for key, value in options.items():
        if key not in rule.options:
            known = f" (it has {', '.join(rule.options)})" if rule.options else " (it has none)"
            raise ConfigError(
                f"{where}: rule `{rule.rule_name()}` has no option `{key}`{suggestion(key, rule.options) or known}"
            )
        default = rule.options[key]
        if type(value) is not type(default):
            raise ConfigError(
                f"{where}: option `{key}` of rule `{rule.rule_name()}` must be like its default {default!r}, "
                f"found {value!r}"
            )
        choices = rule.choices.get(key)
        if choices is not None and value not in choices:
            *others, last = (f'"{each}"' for each in choices)
            known = " or ".join((", ".join(others), last))
            raise ConfigError(f"{where}: option `{key}` of rule `{rule.rule_name()}` must be {known}, found {value!r}")
    return rule(options)


def _local_rules(settings: Settings) -> Iterable[RuleClass]:
    for path in local_rule_files(settings):
        rules = list(_rules_in(_load_file(path)))
        if not rules:
            raise ConfigError(f"{path}: holds no rule (a subclass of pipeline_lint.rule.Rule)")
        for rule in rules:
            if not isinstance(getattr(rule, "code", None), str):
                raise ConfigError(f"{path}: rule `{rule.rule_name()}` has no `code`")
        yield from rules


@functools.cache
def _load_file(path: Path) -> ModuleType:
    """Imports a file that is in no package; its folder becomes the rule's topic."""
    name = f"pipeline_lint_local.{path.parent.name}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path}: the local rule fails to import: {type(error).__name__}: {error}") from error
    return module


def _rules_in(module: ModuleType) -> Iterator[RuleClass]:
    for value in vars(module).values():
        is_own = isinstance(value, type) and issubclass(value, Rule) and value.__module__ == module.__name__
        if is_own and not inspect.isabstract(value):
            yield value
