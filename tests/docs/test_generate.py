"""`make docs-check` notices whatever is stale."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "README.md", tmp_path)
    return tmp_path


def generate(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "docs.generate", "--root", str(root), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_stale_missing_and_orphaned_files_are_named_and_mended(copy: Path) -> None:
    (copy / "docs/rules/log-of-sigmoid.md").write_text("old\n")
    (copy / "docs/rules/log-of-softmax.md").unlink()
    (copy / "docs/rules/no-longer-a-rule.md").write_text("# gone\n")
    (copy / "docs/monitors/loss.md").write_text("old\n")
    (copy / "docs/monitors/no-longer-a-monitor.md").write_text("# gone\n")
    readme = (copy / "README.md").read_text(encoding="utf-8")
    (copy / "README.md").write_text(readme.replace("| TRN201 |", "| TRN999 |"), encoding="utf-8")

    check = generate(copy, "--check")
    assert check.returncode == 1
    names = ["docs/rules/log-of-sigmoid.md", "docs/rules/log-of-softmax.md", "no-longer-a-rule.md", "README.md"]
    for name in [*names, "docs/monitors/loss.md", "no-longer-a-monitor.md"]:
        assert f"{name} is stale: run `make docs`" in check.stderr
    assert (copy / "docs/rules/log-of-sigmoid.md").read_text() == "old\n"

    assert generate(copy).returncode == 0
    assert generate(copy, "--check").returncode == 0
    assert not (copy / "docs/rules/no-longer-a-rule.md").exists()
    assert not (copy / "docs/monitors/no-longer-a-monitor.md").exists()


def test_an_unknown_block_is_named(copy: Path) -> None:
    with (copy / "README.md").open("a", encoding="utf-8") as file:
        file.write("<!-- generated: nonsense -->\n<!-- end -->\n")
    done = generate(copy, "--check")
    assert done.returncode == 1
    assert "unknown generated block `nonsense`" in done.stderr


def test_the_picture_loads_nothing_from_elsewhere() -> None:
    picture = (ROOT / "docs/pictures/check.svg").read_text(encoding="utf-8")
    assert "TRN201" in picture
    assert "url(http" not in picture.replace('"', "")
    assert "href" not in picture


def test_every_monitor_has_a_page_with_all_of_its_keys() -> None:
    monitors = {path.stem for path in (ROOT / "runtime_guard/monitors").glob("[!_]*.py")}
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs/monitors").glob("[!R]*.md")}
    assert pages.keys() == monitors
    for page in pages.values():
        assert "| `" in page
        assert page.count("**When:**") == page.count("**Cost:**") == 1
