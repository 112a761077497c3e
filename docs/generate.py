"""Writes what is generated in the documentation: pages of rules and monitors, tables, what the README shows.

`python -m docs.generate` writes, `python docs/generate.py --check` names what is stale and fails. Text files have
their generated blocks between `<!-- generated: name -->` and `<!-- end -->`; everything around them is written by hand.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from pipeline_lint import config
from pipeline_lint.engine.catalog import builtin_rules
from pipeline_lint.explain import Page, page, render_markdown

ROOT = Path(__file__).parents[1]
SHOWN_PROJECT = "examples/vae"
SHOWN_EXAMPLE = f"{SHOWN_PROJECT}/train.py"
PICTURE_COLUMNS = 120

TOPICS = {
    "outputs": "What models and datasets return",
    "numerics": "Operations that give NaN or Inf",
    "precision": "Mixed precision",
    "loop": "The training loop",
    "watching": "Watching the run",
    "tool": "The tool's own findings",
}

_BLOCK = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Writes or checks all generated files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when something is stale")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder that holds docs/ and README.md")
    options = parser.parse_args()
    wanted = dict(generated_files(options.root))
    stale = [path for path, content in wanted.items() if not path.is_file() or path.read_bytes() != content.encode()]
    found = {path for folder in ("rules", "monitors") for path in (options.root / "docs" / folder).glob("*.md")}
    orphans = sorted(found - wanted.keys())
    if options.check:
        for path in (*stale, *orphans):
            print(f"{path.relative_to(options.root)} is stale: run `make docs`", file=sys.stderr)
        sys.exit(1 if stale or orphans else 0)
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wanted[path].encode())
        print(f"wrote {path.relative_to(options.root)}")
    for path in orphans:
        path.unlink()
        print(f"removed {path.relative_to(options.root)}")


def generated_files(root: Path) -> Iterator[tuple[Path, str]]:
    """Every generated file with what it should hold."""
    pages = [page(rule) for rule in builtin_rules()]
    for rule in pages:
        yield root / "docs" / "rules" / f"{rule.name}.md", render_markdown(rule)
    yield root / "docs" / "rules" / "README.md", "# Rules\n\n" + rule_tables(pages, heading="##")
    monitors = dict(monitor_docstrings())
    for name, text in monitors.items():
        yield root / "docs" / "monitors" / f"{name}.md", monitor_page(name, text)
    yield root / "docs" / "monitors" / "README.md", monitor_table(monitors)
    yield root / "docs" / "pictures" / "check.svg", picture_of_check()
    blocks: dict[str, Callable[[], str]] = {
        "rules": lambda: rule_tables(pages, heading="###", folder="docs/rules/"),
        "settings": settings_table,
        "check": lambda: fenced("", tool_output("check", SHOWN_EXAMPLE)),
        "diff": lambda: fenced("diff", tool_output("fix", "--diff", SHOWN_EXAMPLE)),
        "names": lambda: fenced("diff", named_outputs()),
    }
    for path in (root / "README.md", root / "docs" / "configuration.md"):
        yield path, with_blocks(path, blocks)


def with_blocks(path: Path, blocks: dict[str, Callable[[], str]]) -> str:
    """The file's text with each of its generated blocks made anew."""

    def anew(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in blocks:
            raise SystemExit(f"{path}: unknown generated block `{name}`; known: {', '.join(blocks)}")
        return f"{match[1]}{blocks[name]().rstrip()}\n{match[3]}"

    return _BLOCK.sub(anew, path.read_text(encoding="utf-8"))


def rule_tables(pages: list[Page], *, heading: str, folder: str = "") -> str:
    """One table for each topic, with links to the pages."""
    parts = []
    for topic, title in TOPICS.items():
        rows = [rule_row(rule, folder) for rule in pages if rule.topic == topic]
        if rows:
            header = "| code | name | what it finds | fix |\n|---|---|---|---|"
            parts.append("\n".join([f"{heading} {title}\n", header, *rows]))
    return "\n\n".join(parts) + "\n"


def rule_row(rule: Page, folder: str) -> str:
    """A line of the table; rules that are off by default say so."""
    off = "" if rule.is_default else " Off by default."
    fix = " or ".join(rule.fix_kinds)
    return f"| {rule.code} | [{rule.name}]({folder}{rule.name}.md) | {in_cell(rule.summary + off)} | {fix} |"


def monitor_docstrings() -> Iterator[tuple[str, str]]:
    """Names of monitors with what their classes say of themselves. Read from the source: torch takes its time."""
    for path in sorted((ROOT / "runtime_guard" / "monitors").glob("[!_]*.py")):
        wanted = path.stem.title().replace("_", "")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name == wanted:
                yield path.stem, ast.get_docstring(node) or ""


def monitor_page(name: str, text: str) -> str:
    """The docstring as a page: its keys as a table, and what it takes as a list."""
    lines = [f"# {name}", "", f"`runtime_guard.monitors.{name}.{name.title().replace('_', '')}`", ""]
    for block in re.split(r"\n\n+", text):
        head, _, rest = block.partition("\n")
        if head == "Writes:":
            rows = [f"| `{key}` | {in_cell(meaning)} |" for key, meaning in entries(rest, r"`(\S+)`")]
            lines += ["## Writes", "", "| key | meaning |", "|---|---|", *rows, ""]
        elif head == "Args:":
            lines += ["## Takes", "", *(f"- `{key}`: {meaning}" for key, meaning in entries(rest, r"(\w+)")), ""]
        else:
            # `When:`, `Cost:` and `Source:` follow each other without a line between.
            parts = re.sub(r"^(When|Cost|Source): ", r"\n**\1:** ", block, flags=re.MULTILINE).strip()
            lines += [parts, ""]
    return "\n".join(lines).rstrip() + "\n"


def entries(text: str, key: str) -> Iterator[tuple[str, str]]:
    """`key: meaning`, each at the least indent, over the lines that are indented further."""
    for entry in re.split(r"\n(?! )", textwrap.dedent(text)):
        match = re.match(rf"{key}: (.*)", " ".join(entry.split()))
        if match is None:
            raise SystemExit(f"expected a key and its meaning, found {entry!r}")
        yield match[1], match[2]


def monitor_table(docstrings: Mapping[str, str]) -> str:
    """All monitors with the first sentence of each, and the keys that they write."""
    rows = []
    for name, text in docstrings.items():
        summary = " ".join(text.split("\n\n")[0].split()).split(". ")[0].rstrip(".") + "."
        block = next(block for block in re.split(r"\n\n+", text) if block.startswith("Writes:\n"))
        keys = sorted({key.split("/")[0] for key, _ in entries(block.partition("\n")[2], r"`(\S+)`")})
        shown = ", ".join(f"`{key}/`" if f"{key}/" in block else f"`{key}`" for key in keys)
        rows.append(f"| [{name}]({name}.md) | {in_cell(summary)} | {shown} |")
    header = "| monitor | what it shows | keys |\n|---|---|---|"
    return "\n".join(["# Monitors", "", "See [the guide](../guides/monitors.md).", "", header, *rows]) + "\n"


def settings_table() -> str:
    """The fields of `Settings` with their defaults and the sentences below them in the source."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    defaults = config.Settings()
    for name, meaning in field_docstrings(config.Settings):
        if name.replace("_", "-") in config.SETTING_NAMES:
            default = toml_value(getattr(defaults, name))
            rows.append(f"| `{name.replace('_', '-')}` | {default} | {in_cell(meaning)} |")
    return "\n".join(rows) + "\n"


def field_docstrings(kind: type) -> Iterator[tuple[str, str]]:
    """The fields of a class with the string that stands below each."""
    (definition,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(meaning))):
                yield name, " ".join(meaning.split())


def toml_value(value: object) -> str:
    """How a setting's default is written; nothing where there is none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "`[]`" if not value else f"`{list(value)}`"
    return f'`"{getattr(value, "label", value)}"`'


def in_cell(text: str) -> str:
    """Text that does not end a cell of a Markdown table."""
    return text.replace("|", "\\|")


def fenced(language: str, text: str) -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def tool_output(*arguments: str, color: bool = False, folder: Path = ROOT) -> str:
    """What `pipeline-lint` prints for files of a folder, apart from any configuration and cache."""
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline_lint", *arguments, "--isolated", "--no-cache", "--quiet", "--jobs", "1"],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), **({"FORCE_COLOR": "1"} if color else {"NO_COLOR": "1"})},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 1:
        raise SystemExit(f"pipeline-lint {' '.join(arguments)} should have had findings: {done.stderr or done.stdout}")
    return done.stdout


def named_outputs() -> str:
    """What giving names to outputs changes in a project: a copy of the example, which has nothing else around it."""
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted((ROOT / SHOWN_PROJECT).glob("*.py")):
            shutil.copy(path, folder)
        return tool_output("fix", "--diff", "--select", "TRN101", ".", folder=Path(folder))


def picture_of_check() -> str:
    """The terminal after `pipeline-lint check`, as SVG."""
    console = Console(record=True, width=PICTURE_COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    console.print(Text(f"$ pipeline-lint check {SHOWN_EXAMPLE}", style="bold"))
    console.print(Text.from_ansi(tool_output("check", SHOWN_EXAMPLE, color=True)))
    # The reader's own fonts: a picture should load nothing from elsewhere.
    template = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    template = template.replace("Fira Code, monospace", "monospace")
    picture = console.export_svg(title="pipeline-lint", code_format=template, unique_id="check")
    return "\n".join(line.rstrip() for line in picture.splitlines()) + "\n"


if __name__ == "__main__":
    main()
