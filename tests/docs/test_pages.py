"""What the README and the guides tell a reader is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_lint.config import load_settings
from pipeline_lint.engine.catalog import builtin_rules, selected_rules

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
    if not path.name.startswith(".")
)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The names that headings get, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith(("http://", "https://")):
            file, _, anchor = link.partition("#")
            target = page.parent / file if file else page
            assert target.exists(), f"{relative(page)}: {link}"
            assert not anchor or anchor in anchors(target), f"{relative(page)}: {link}"


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs/configuration.md"], ids=relative)
def test_configurations_that_are_shown_are_valid(page: Path, tmp_path: Path) -> None:
    shown = blocks(page, "toml")
    for block in shown:
        if "[tool.pipeline-lint" in block:
            config = tmp_path / f"{len(list(tmp_path.iterdir()))}" / "pyproject.toml"
            config.parent.mkdir()
            config.write_text(block)
            assert selected_rules(load_settings(config))
    assert any("[tool.pipeline-lint" in block for block in shown)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "docs/configuration.md", ROOT / "CONTRIBUTING.md"], ids=relative
)
def test_commands_and_options_that_are_shown_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for command, arguments in re.findall(r"pipeline-lint (check|fix|rules|explain)([^`\n#]*)", text):
        done = subprocess.run(
            [sys.executable, "-m", "pipeline_lint", command, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for option in re.findall(r"(?<=\s)--[a-z-]+", arguments):
            assert option in done.stdout, f"{relative(page)}: pipeline-lint {command} {option}"


def test_the_python_example_runs(tmp_path: Path) -> None:
    (example,) = (block for block in blocks(ROOT / "README.md", "python") if "pipeline_lint" in block)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "loss.py").write_text("import torch\n\nloss = torch.log(torch.sigmoid(100 * torch.ones(3)))\n")
    script = tmp_path / "example.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{example}")
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "loss.py:3:8 TRN201" in done.stdout


def test_every_rule_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for rule in builtin_rules():
        assert f"| {rule.code} | [{rule.rule_name()}](docs/rules/{rule.rule_name()}.md)" in text
