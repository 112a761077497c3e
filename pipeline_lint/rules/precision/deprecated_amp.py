"""TRN307: `torch.cuda.amp`, `torch.cpu.amp` and apex, which `torch.amp` has replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import libcst as cst

from pipeline_lint.diagnostic import Edit, Fix
from pipeline_lint.edits import replace, safe_fix
from pipeline_lint.facts import torch_api
from pipeline_lint.facts.code.guards import is_version_dependent
from pipeline_lint.facts.code.names import Names, dotted_name, imported_module
from pipeline_lint.rule import Finding, OptionValue, Rule
from pipeline_lint.source import Source

_SINCE = {"autocast": (1, 10), "GradScaler": (2, 3), "custom_fwd": (2, 4), "custom_bwd": (2, 4)}
"""The version of torch that has each name in `torch.amp`."""
_OLD = {f"torch.{device}.amp.{name}": (device, name) for device in ("cuda", "cpu") for name in _SINCE}
_AUTOCAST_PARAMETERS = ("enabled", "dtype", "cache_enabled")
_SCALER_PARAMETERS = frozenset({"init_scale", "growth_factor", "backoff_factor", "growth_interval", "enabled"})
_APEX = frozenset({"apex.amp.initialize", "apex.amp.init", "apex.amp.scale_loss"})


class DeprecatedAmp(Rule):
    """Mixed precision through `torch.cuda.amp`, `torch.cpu.amp` or apex instead of `torch.amp`.

    Since torch 2.4 every call of `torch.cuda.amp.autocast`, `GradScaler`, `custom_fwd` and `custom_bwd` warns that it
    will go; the same names in `torch.amp` take the device as an argument. The two are not drop-in: the first parameter
    of the new `autocast` is the device and the second the dtype, so `autocast(True)` becomes
    `autocast("cuda", enabled=True)`, and a plain renaming would take True for a device.

    apex.amp has been superseded since torch 1.6 and is no longer maintained. It patches functions of torch at run time
    and follows no new version.

    Bad:
        from torch.cuda.amp import GradScaler, autocast

        def make_step(model, optimizer, use_amp):
            scaler = GradScaler(enabled=use_amp)

            def step(inputs, target):
                with autocast(use_amp):
                    loss = ((model(inputs) - target) ** 2).mean()
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                return loss

            return step
    Good:
        from torch.amp import GradScaler, autocast

        def make_step(model, optimizer, use_amp):
            scaler = GradScaler("cuda", enabled=use_amp)

            def step(inputs, target):
                with autocast("cuda", enabled=use_amp):
                    loss = ((model(inputs) - target) ** 2).mean()
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                return loss

            return step
    Exempt: an import in a `try` that falls back on another, and code under a check of torch's version or of an
        attribute: they keep old versions working. What `torch.amp` does not have yet in the version that the option
        `minimum-torch` names (autocast: 1.10, GradScaler: 2.3, custom_fwd and custom_bwd: 2.4). Annotations and
        `isinstance` alone.
    Fix: Safe, none for apex: the import and all its uses in the file change together, so that no use is left that
        means something else; positional arguments of `autocast` become keywords. There is none where a use is not a
        call that can be read (`*args`, `**kwargs`, the name handed on, subclassed or exported), nor for apex, whose
        `initialize` has no counterpart: wrap the forward pass in `torch.amp.autocast` and scale the loss with a
        `torch.amp.GradScaler`.
    Source: https://pytorch.org/docs/stable/amp.html
    """

    code = "TRN307"
    triggers = ("cuda.amp", "cpu.amp", "cuda import", "cpu import", "apex")
    options: ClassVar[Mapping[str, OptionValue]] = {"minimum-torch": "2.4"}

    def check(self, source: Source) -> Iterator[Finding]:
        """Imports of the old names, and uses of them by a longer path."""
        old = {path: parts for path, parts in _OLD.items() if _SINCE[parts[1]] <= self._minimum_torch()}
        for statement in source.nodes(cst.ImportFrom):
            yield from _check_import(source, statement, old)
        names = source.fact(Names)
        for node in source.nodes(cst.Attribute):
            path = names.resolve(node)
            if path is not None and path in old and names.alternatives(node) == (path,):
                root = dotted_name(node).partition(".")[0]
                is_deliberate = is_version_dependent(source, node) or _is_imported_by_fallback(source, root)
                if not is_deliberate and not _is_mention(source, node):
                    yield _found_use(source, node, *old[path])
        for call in source.nodes(cst.Call):
            if names.resolve(call.func) in _APEX:
                yield _found_apex(call)

    def _minimum_torch(self) -> tuple[int, ...]:
        text = str(self.settings["minimum-torch"])
        parts = text.split(".")[:2]
        if not all(part.isdigit() for part in parts):
            raise ValueError(f"option `minimum-torch` of rule `{self.rule_name()}` must be like 2.4, found {text!r}")
        return tuple(int(part) for part in parts)


def _check_import(source: Source, statement: cst.ImportFrom, old: dict[str, tuple[str, str]]) -> Iterator[Finding]:
    """One finding for all old names that a statement imports, since they are rewritten together."""
    if isinstance(statement.names, cst.ImportStar) or not imported_module(statement).startswith("torch."):
        return
    aliases = [(alias, path) for alias in statement.names if (path := _imported_path(statement, alias)) in old]
    if not aliases or any(_is_imported_by_fallback(source, _local_name(alias)) for alias, _ in aliases):
        return
    device = old[aliases[0][1]][0]
    quoted = " and ".join(f"`{old[path][1]}`" for _, path in aliases)
    uses = [use for alias, path in aliases for use in _uses(source, statement, _local_name(alias), path)]
    verb, pronoun = ("warn", "them") if len(aliases) > 1 else ("warns", "it")
    yield Finding(
        at=statement.module or statement,
        message=(
            f"`torch.{device}.amp` is deprecated since torch 2.4, and {quoted} {verb} at every call; "
            f'import {pronoun} from `torch.amp` and give "{device}" as the device'
        ),
        fix=lambda: _import_fix(source, statement, [(alias, *old[path], path) for alias, path in aliases]),
        related=tuple((source.place(use), "used here") for use in uses[:10]),
    )


def _found_use(source: Source, node: cst.Attribute, device: str, name: str) -> Finding:
    argument = f'device_type="{device}"' if name.startswith("custom") else f'"{device}"'
    return Finding(
        at=node,
        message=(
            f"`torch.{device}.amp.{name}` is deprecated since torch 2.4 and warns at every call; "
            f"write `torch.amp.{name}({argument})`"
        ),
        fix=lambda: _use_fix(source, node, device, name),
    )


def _found_apex(call: cst.Call) -> Finding:
    return Finding(
        at=call.func,
        message=(
            "`apex.amp` is no longer maintained and patches torch at run time; write `torch.amp.autocast` around the "
            "forward pass and scale the loss with a `torch.amp.GradScaler`"
        ),
    )


def _use_fix(source: Source, node: cst.Attribute, device: str, name: str) -> Fix | None:
    edits = _use_edits(source, node, device, name)
    if edits is None:
        return None
    reference = source.fact(Names).reference(f"torch.amp.{name}", at=node)
    return safe_fix(f"Replace with `torch.amp.{name}`", *reference.edits, replace(source, node, reference.code), *edits)


def _import_fix(
    source: Source, statement: cst.ImportFrom, aliases: Sequence[tuple[cst.ImportAlias, str, str, str]]
) -> Fix | None:
    """Moves the names whose uses can all be rewritten; those that cannot stay where they are."""
    moved: list[cst.ImportAlias] = []
    edits: list[Edit] = []
    for alias, device, name, path in aliases:
        changes = _alias_edits(source, statement, alias, device, name, path)
        if changes is not None:
            moved.append(alias)
            edits += changes
    assert not isinstance(statement.names, cst.ImportStar)
    kept = [alias for alias in statement.names if alias not in moved]
    if not moved or statement.module is None:
        return None
    if not kept:
        edits.append(replace(source, statement.module, "torch.amp"))
    else:
        line = source.parent(statement)
        code = source.code(statement)
        if not isinstance(line, cst.SimpleStatementLine) or len(line.body) > 1 or "#" in code:
            return None
        start, _ = source.span(statement)
        indent = source.text[source.document.line_starts[source.document.row_of(start) - 1] : start]
        first, second = (
            f"from {module} import {', '.join(source.code(alias).rstrip(' ,') for alias in group)}"
            for module, group in ((imported_module(statement), kept), ("torch.amp", moved))
        )
        edits.append(replace(source, statement, f"{first}{source.module.default_newline}{indent}{second}"))
    return safe_fix("Import from `torch.amp` and name the device", *edits)


def _alias_edits(
    source: Source, statement: cst.ImportFrom, alias: cst.ImportAlias, device: str, name: str, path: str
) -> list[Edit] | None:
    """The edits of all uses of an imported name; None where one of them cannot be rewritten, or may be elsewhere."""
    local = _local_name(alias)
    scope = source.function_of(statement) or source.module
    is_exported = source.path.endswith("__init__.py") or ("__all__" in source.text and f'"{local}"' in source.text)
    is_exported |= "__all__" in source.text and f"'{local}'" in source.text
    if is_exported or len(source.fact(Names).bindings(local, scope)) != 1:
        return None
    uses = _uses(source, statement, local, path)
    edits: list[Edit] = []
    for use in uses:
        changes = _use_edits(source, use, device, name)
        if changes is None:
            return None
        edits += changes
    return edits if uses else None


def _use_edits(source: Source, use: cst.BaseExpression, device: str, name: str) -> list[Edit] | None:
    """What changes besides the name itself, where it stands for the name in `torch.amp`."""
    match source.parent(use):
        case cst.Call(func=func) as call if func is use:
            return _call_edits(source, call, device, name)
        case cst.Decorator() if name.startswith("custom"):
            _, end = source.span(use)
            return [source.document.edit(end, end, f'(device_type="{device}")')]
    return [] if name == "GradScaler" and _is_mention(source, use) else None


def _call_edits(source: Source, call: cst.Call, device: str, name: str) -> list[Edit] | None:
    keywords = {argument.keyword.value for argument in call.args if argument.keyword is not None}
    positional = [argument for argument in call.args if argument.keyword is None]
    if any(argument.star for argument in call.args):
        return None
    if name.startswith("custom"):
        return (
            _insertion(source, call, f'device_type="{device}"', after=positional)
            if keywords <= {"cast_inputs"}
            else None
        )
    if name == "GradScaler":
        return _insertion(source, call, f'"{device}"') if keywords <= _SCALER_PARAMETERS else None
    if not keywords <= set(_AUTOCAST_PARAMETERS) or len(positional) > len(_AUTOCAST_PARAMETERS):
        return None
    if positional and isinstance(positional[0].value, cst.SimpleString):
        # `autocast("cuda")` of the old name means `enabled="cuda"`, which nobody means.
        return None
    edits = []
    for index, (argument, parameter) in enumerate(zip(positional, _AUTOCAST_PARAMETERS, strict=False)):
        start, _ = source.span(argument.value)
        before = f'"{device}", ' if index == 0 else ""
        edits.append(source.document.edit(start, start, f"{before}{parameter}="))
    return edits or _insertion(source, call, f'"{device}"')


def _insertion(source: Source, call: cst.Call, code: str, *, after: Sequence[cst.Arg] = ()) -> list[Edit]:
    """Adds an argument: behind those of `after`, else in front of all others."""
    if after:
        _, end = source.span(after[-1].value)
        return [source.document.edit(end, end, f", {code}")]
    if call.args:
        first = call.args[0]
        start, _ = source.span(first.keyword or first.value)
        return [source.document.edit(start, start, f"{code}, ")]
    _, end = source.span(call.func)
    opening = source.text.index("(", end) + 1
    return [source.document.edit(opening, opening, code)]


def _imported_path(statement: cst.ImportFrom, alias: cst.ImportAlias) -> str:
    return torch_api.canonical(f"{imported_module(statement)}.{dotted_name(alias.name)}")


def _local_name(alias: cst.ImportAlias) -> str:
    return dotted_name(alias.asname.name if alias.asname is not None else alias.name)


def _uses(source: Source, statement: cst.ImportFrom, local: str, path: str) -> list[cst.Name]:
    """The places that read what a statement imports under the name `local`."""
    names = source.fact(Names)
    own = source.function_of(statement)
    rivals = [source.function_of(node) for node in source.nodes(cst.ImportFrom) if _binds(node, local)]
    found = []
    for node in source.nodes(cst.Name):
        if node.value != local or isinstance(source.parent(node), cst.ImportAlias | cst.AsName | cst.Param):
            continue
        if names.resolve(node) != path or _is_label(source, node):
            continue
        scopes = [above for above in source.ancestors(node) if isinstance(above, cst.FunctionDef)]
        nearest = next((scope for scope in scopes if scope in rivals), None)
        if nearest is own:
            found.append(node)
    return found


def _binds(statement: cst.ImportFrom, local: str) -> bool:
    return not isinstance(statement.names, cst.ImportStar) and local in map(_local_name, statement.names)


def _is_label(source: Source, node: cst.Name) -> bool:
    """Whether a name is an attribute's or a keyword's."""
    match source.parent(node):
        case cst.Attribute(attr=attr):
            return attr is node
        case cst.Arg(keyword=keyword):
            return keyword is node
    return False


def _is_mention(source: Source, node: cst.CSTNode) -> bool:
    """Whether a class is only named, in an annotation or `isinstance`, which creates nothing."""
    for above in source.ancestors(node):
        match above:
            case cst.Annotation():
                return True
            case cst.Call(func=cst.Name(value="isinstance")):
                return True
            case cst.BaseStatement() | cst.BaseSmallStatement():
                return isinstance(above, cst.Import | cst.ImportFrom)
    return False


def _is_imported_by_fallback(source: Source, local: str) -> bool:
    """Whether one of the imports of a name is for some versions of torch only."""
    statements: list[cst.Import | cst.ImportFrom] = [*source.nodes(cst.ImportFrom), *source.nodes(cst.Import)]
    return any(
        is_version_dependent(source, statement)
        for statement in statements
        if not isinstance(statement.names, cst.ImportStar)
        and any(_local_name(alias).partition(".")[0] == local for alias in statement.names)
    )
