"""Which module may import which.

`LAYERS` lists the modules and folders of `pipeline_lint` from the bottom up. A module imports only from lines above
its own in the table and from its own folder; names in one line do not import each other. Imports inside functions
count, because they are dependencies as well; imports under `if TYPE_CHECKING:` do not, because they never run.

Two contracts look for their implementations and so point upwards, each in one function: `FINDERS`. Some modules are
held to less than the table allows: `ONLY`. The package itself (`__init__`) is at the bottom for its version, which
every module may ask for, and at the top for its functions.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipeline_lint", "runtime_guard")

LAYERS = (
    ("diagnostic",),
    ("document",),
    ("documents",),
    ("source", "nesting"),
    ("parsing", "edits"),
    ("facts",),
    ("rule",),
    ("refactor",),
    ("rules",),
    ("reporter",),
    ("reporters", "config"),
    ("explain",),
    ("engine",),
    ("api", "cases"),
    ("testing", "server"),
    ("cli",),
    ("__init__", "__main__"),
)

FINDERS = {("document", "documents"), ("reporter", "reporters")}

ONLY = {
    "reporter": {"diagnostic", "reporters"},
    "reporters": {"diagnostic", "reporter", "reporters"},
    "config": {"diagnostic", "reporter"},
    "cases": {"diagnostic"},
}
"""What these may import of the package, whatever stands above them in the table."""

NEVER_IMPORTED = {
    "libcst.matchers": "it takes 180 ms to import and is 60 times slower than `match`",
    "libcst.codemod": "it takes 210 ms to import",
    "libcst.metadata": "its providers are 7 to 100 times slower than what source.py and facts/ do",
    "torch": "a pre-commit hook must install in seconds",
    "numpy": "a pre-commit hook must install in seconds",
}

TYPES_OF_LIBCST_FORBIDDEN = ("reporter", "reporters", "config", "diagnostic", "document", "documents", "cli", "api")

VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "core", "misc", "manager"}


@dataclass(frozen=True)
class Import:
    """One import of one module: `module` is absolute, `name` what `from module import name` takes from it."""

    path: Path
    row: int
    module: str
    name: str | None

    def __str__(self) -> str:
        what = f"from {self.module} import {self.name}" if self.name else f"import {self.module}"
        return f"{self.path.relative_to(ROOT)}:{self.row}: {what}"


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imports_of(path: Path) -> Iterator[Import]:
    yield from imports_in(path, ast.parse(path.read_bytes()))


def imports_in(path: Path, node: ast.AST) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=names):
                yield from (Import(path, child.lineno, alias.name, None) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                assert level == 0, f"{path}:{child.lineno}: imports are absolute"
                yield from (Import(path, child.lineno, str(module), alias.name) for alias in names)
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=orelse):
                for statement in orelse:
                    yield from imports_in(path, ast.Module([statement], []))
            case _:
                yield from imports_in(path, child)


def layer_of(module: str) -> str | None:
    """`pipeline_lint.engine.run` belongs to `engine`; None for other packages. The package itself is `__init__`."""
    parts = module.split(".")
    if parts[0] != "pipeline_lint":
        return None
    return parts[1] if len(parts) > 1 else "__init__"


def target_layer(imported: Import) -> str | None:
    layer = layer_of(imported.module)
    # `from pipeline_lint import reporters` takes a folder, `from pipeline_lint import __version__` a name.
    if layer == "__init__" and imported.name in HEIGHTS:
        return imported.name
    return layer


HEIGHTS = {name: height for height, names in enumerate(LAYERS) for name in names}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def is_allowed(here: str, there: str) -> bool:
    if here == there or (here, there) in FINDERS or there == "__init__":
        return True
    return HEIGHTS[there] < HEIGHTS[here]


def test_every_module_has_a_layer() -> None:
    unknown = {str(layer_of(module_name(path))) for path in python_files("pipeline_lint")} - HEIGHTS.keys()
    assert not unknown, f"add {', '.join(sorted(unknown))} to LAYERS in {Path(__file__).name}"


@pytest.mark.parametrize("path", python_files("pipeline_lint"), ids=module_name)
def test_imports_point_down(path: Path) -> None:
    here = str(layer_of(module_name(path)))
    upward = [
        str(imported)
        for imported in imports_of(path)
        if (there := target_layer(imported)) is not None and not is_allowed(here, there)
    ]
    assert not upward, "\n".join(upward)


@pytest.mark.parametrize("layer", sorted(ONLY))
def test_a_module_with_few_dependencies_keeps_to_them(layer: str) -> None:
    others = [
        str(imported)
        for path in python_files("pipeline_lint")
        if layer_of(module_name(path)) == layer
        for imported in imports_of(path)
        if target_layer(imported) not in {None, "__init__", *ONLY[layer]}
    ]
    assert not others, "\n".join(others)


def test_a_rule_imports_no_other_rule() -> None:
    rules = {module_name(path) for path in python_files("pipeline_lint/rules") if path.stem != "__init__"}
    crossing = [
        str(imported)
        for path in python_files("pipeline_lint/rules")
        for imported in imports_of(path)
        if {imported.module, f"{imported.module}.{imported.name}"} & (rules - {module_name(path)})
    ]
    assert not crossing, "\n".join(crossing)


@pytest.mark.parametrize(("package", "other"), [PACKAGES, PACKAGES[::-1]])
def test_the_two_packages_never_import_each_other(package: str, other: str) -> None:
    crossing = [
        str(imported)
        for path in python_files(package)
        for imported in imports_of(path)
        if imported.module.split(".")[0] == other
    ]
    assert not crossing, "\n".join(crossing)


@pytest.mark.parametrize("forbidden", sorted(NEVER_IMPORTED))
def test_what_is_heavy_is_never_imported(forbidden: str) -> None:
    found = [
        str(imported)
        for path in python_files("pipeline_lint")
        for imported in imports_of(path)
        if any(
            f"{full}.".startswith(f"{forbidden}.") for full in (imported.module, f"{imported.module}.{imported.name}")
        )
    ]
    assert not found, f"{NEVER_IMPORTED[forbidden]}\n" + "\n".join(found)


@pytest.mark.parametrize("layer", TYPES_OF_LIBCST_FORBIDDEN)
def test_what_handles_plain_data_knows_no_syntax_tree(layer: str) -> None:
    found = [
        str(imported)
        for path in python_files("pipeline_lint")
        if layer_of(module_name(path)) == layer
        for imported in imports_of(path)
        if imported.module.split(".")[0] == "libcst"
    ]
    assert not found, "\n".join(found)


def test_only_declared_dependencies_are_imported() -> None:
    # Python has tomllib from 3.11 on; before, tomli takes its place.
    allowed = {"libcst", "click", "typing_extensions", "pathspec", "tomli", "tomllib", "pipeline_lint"}
    optional = {"pygls": "server", "lsprotocol": "server"}
    found = [
        str(imported)
        for path in python_files("pipeline_lint")
        for imported in imports_of(path)
        if (top := imported.module.split(".")[0]) not in allowed | sys.stdlib_module_names
        if optional.get(top) != layer_of(module_name(path))
    ]
    assert not found, "\n".join(found)


def test_a_file_is_named_after_what_is_in_it() -> None:
    own = [*python_files(*PACKAGES, "tests"), *(ROOT / "benchmarks").glob("*.py"), *(ROOT / "docs").glob("*.py")]
    vague = [str(path.relative_to(ROOT)) for path in own if {path.stem, path.parent.name} & VAGUE_NAMES]
    assert not vague, ", ".join(vague)
