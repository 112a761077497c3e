"""`pipeline-lint explain`, `rules`, `--help`."""

from __future__ import annotations

import json

import pytest


def test_explain_prints_the_page_by_code_or_name(project, lint):
    project()
    result = lint("explain", "TRN201")
    assert result.exit_code == 0
    assert "log-of-sigmoid" in result.stdout
    assert "Bad" in result.stdout
    assert lint("explain", "log-of-sigmoid").stdout == result.stdout
    assert lint("explain", "log-of-sigmoid", "--output-format", "markdown").stdout.startswith("#")


def test_explain_of_an_unknown_rule_names_the_nearest(project, lint):
    project()
    result = lint("explain", "log-of-sigmod")
    assert result.exit_code == 2
    assert "did you mean `log-of-sigmoid`?" in result.stderr


def test_rules_lists_all(project, lint):
    project()
    assert "TRN201  log-of-sigmoid" in lint("rules").stdout
    rows = json.loads(lint("rules", "--output-format", "json").stdout)
    assert {"code", "name", "topic", "default", "fix", "summary", "options"} <= set(rows[0])
    assert [row["code"] for row in rows] == sorted(row["code"] for row in rows)


def test_a_new_rule_works_as_written(project, lint):
    folder = project({"pyproject.toml": '[tool.pipeline-lint]\nlocal-rules = ["lint"]\n', "lint/__init__.py": ""})
    result = lint("rules", "new", "numerics", "log-of-relu")
    assert result.exit_code == 0
    assert (folder / "lint/numerics/log_of_relu.py").exists()
    cases = lint("rules", "test", "lint")
    assert cases.exit_code == 0, cases.output
    assert "2 passed, 0 failed" in cases.stdout
    project({"a.py": "import torch\n\nx = torch.randn(3)\n"})
    assert "LOC001" in lint("check", "--output-format", "concise", "a.py").stdout
    assert "log-of-relu" in lint("explain", "LOC001").stdout
    assert lint("fix", "a.py").exit_code == 0
    assert (folder / "a.py").read_text() == "import torch\n\nx = torch.randn(3, generator=generator)\n"


def test_a_failing_case_is_shown_with_what_was_expected(project, lint):
    case = "```python\nimport torch\nx = torch.add(1)  # expect: TRN201\n```\n"
    project({"cases.md": f"# log-of-sigmoid\n\n## a case\n\n{case}", "empty.md": "# nothing\n"})
    result = lint("rules", "test", "cases.md")
    assert result.exit_code == 1
    assert "TRN201" in result.stderr
    assert "0 passed, 1 failed" in result.stdout
    empty = lint("rules", "test", "empty.md")
    assert empty.exit_code != 0
    assert "empty.md: no case" in empty.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("numerics", "log-of-sigmoid"), "`log-of-sigmoid` is taken"),
        (("numerics", "new", "--code", "TRN201"), "`TRN201` is taken"),
        (("numerics", "new", "--code", "x"), "`x` is no code"),
        (("numerics", "1-new"), "is no rule name"),
        (("num/erics", "new"), "is no topic"),
    ],
)
def test_a_new_rule_that_cannot_be_is_refused(project, lint, words, message):
    folder = project()
    result = lint("rules", "new", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(folder.iterdir()) == []


def test_a_new_rule_overwrites_nothing(project, lint):
    folder = project({"lint/numerics/log_of_relu.md": "mine"})
    result = lint("rules", "new", "numerics", "log-of-relu")
    assert result.exit_code == 2
    assert "exists; nothing was written" in result.stderr
    assert (folder / "lint/numerics/log_of_relu.md").read_text() == "mine"
    assert not (folder / "lint/numerics/log_of_relu.py").exists()


@pytest.mark.parametrize("command", ["check", "fix", "explain", "rules", "server"])
def test_help_teaches(lint, command):
    result = lint(command, "--help")
    assert result.exit_code == 0
    assert "pipeline-lint" in result.stdout
    assert ("Example" in result.stdout) or command == "server"
    for length in map(len, result.stdout.splitlines()):
        assert length <= 120


def test_the_version_is_told(lint):
    assert lint("--version").stdout.startswith("pipeline-lint, version ")


def test_an_unknown_command_is_answered_with_the_nearest(lint):
    result = lint("chek")
    assert result.exit_code == 2
    assert "no command `chek`; did you mean `check`?" in result.stderr
