"""`pipeline-lint check`."""

from __future__ import annotations

import json

import pytest
from samples import BAD, CLEAN


def test_findings_give_exit_code_1_and_the_place(project, lint):
    project({"loss.py": BAD})
    result = lint("check")
    assert result.exit_code == 1
    assert "TRN201" in result.stdout
    assert "loss.py:7:13" in result.stdout
    assert "torch.log(p)" in result.stdout
    assert "^^^^" in result.stdout


def test_clean_code_gives_exit_code_0(project, lint):
    project({"net.py": CLEAN})
    result = lint("check")
    assert result.exit_code == 0
    assert result.stdout.strip()


def test_exit_zero_gives_0_in_spite_of_findings(project, lint):
    project({"loss.py": BAD})
    assert lint("check", "--exit-zero").exit_code == 0


def test_a_path_that_does_not_exist_gives_2_and_is_named(project, lint):
    project({"loss.py": BAD})
    result = lint("check", "nowhere.py", "loss.py")
    assert result.exit_code == 2
    assert "nowhere.py" in result.output
    assert "TRN201" in result.stdout


def test_a_wrong_configuration_gives_2_with_file_key_and_nearest(project, lint):
    project({"loss.py": BAD, "pyproject.toml": "[tool.pipeline-lint]\nselct = []\n"})
    result = lint("check")
    assert result.exit_code == 2
    assert "pyproject.toml: unknown key `tool.pipeline-lint.selct`; did you mean `select`?" in result.stderr


@pytest.mark.parametrize("cached", [False, True])
def test_a_wrong_selector_gives_2_with_the_nearest(project, lint, cached):
    project({"loss.py": BAD})
    if cached:
        lint("check")
    result = lint("check", "--select", "TRN4066")
    assert result.exit_code == 2
    assert "`select` names no rule: `TRN4066`; did you mean `TRN406`?" in result.stderr


def test_a_wrong_selector_is_an_error_even_where_there_is_nothing_to_check(project, lint):
    project()
    assert lint("check", "--select", "TRN4066").exit_code == 2


def test_a_syntax_error_is_a_finding_with_its_place(project, lint):
    project({"broken.py": "import torch\nx = (\n", "plain.py": "def f(:\n    pass\n"})
    result = lint("check", "--output-format", "concise")
    assert result.exit_code == 1
    assert "broken.py:2:5: TRN901" in result.stdout
    assert "plain.py:1:7: TRN901" in result.stdout


def test_select_ignore_and_per_file_ignores(project, lint):
    project({"loss.py": BAD, "tests/loss.py": BAD})
    assert lint("check", "--select", "TRN1").exit_code == 0
    assert lint("check", "--ignore", "TRN2,TRN1").exit_code == 0
    assert lint("check", "--ignore", "TRN202").exit_code == 1
    result = lint("check", "--per-file-ignores", "tests/*:TRN201", "--output-format", "json")
    assert [item["filename"].endswith("project/loss.py") for item in json.loads(result.stdout)] == [True]


def test_per_file_ignores_of_the_configuration(project, lint):
    project(
        {
            "tests/loss.py": BAD,
            "pyproject.toml": '[tool.pipeline-lint.per-file-ignores]\n"tests/" = ["numerics"]\n',
        }
    )
    assert lint("check").exit_code == 0


def test_exclude_counts_for_folders_and_with_force_for_named_files(project, lint):
    project({"loss.py": CLEAN, "vendor/loss.py": BAD})
    assert lint("check", "--exclude", "vendor").exit_code == 0
    assert lint("check", "--exclude", "vendor", "vendor/loss.py").exit_code == 1
    assert lint("check", "--exclude", "vendor", "--force-exclude", "vendor/loss.py").exit_code == 0


def test_noqa_silences_and_an_idle_one_is_found(project, lint):
    project({"loss.py": BAD.replace("torch.log(p)", "torch.log(p)  # noqa: TRN201")})
    assert lint("check").exit_code == 0
    project({"loss.py": CLEAN.replace("(x, x)", "(x, x)  # noqa: TRN201")})
    result = lint("check")
    assert result.exit_code == 1
    assert "TRN902" in result.stdout


def test_standard_input_is_checked_under_its_name(project, lint):
    project({"pyproject.toml": '[tool.pipeline-lint.per-file-ignores]\n"quiet/*" = ["ALL"]\n'})
    result = lint("check", "--stdin-filename", "loss.py", "-", stdin=BAD)
    assert result.exit_code == 1
    assert "loss.py:7:13" in result.stdout
    assert lint("check", "--stdin-filename", "quiet/loss.py", stdin=BAD).exit_code == 0
    assert "<stdin>:7:13" in lint("check", "-", stdin=BAD).stdout


def test_standard_input_may_have_any_encoding(project, lint):
    project()
    code = "# -*- coding: latin-1 -*-\n# é\n" + BAD
    assert lint("check", "-", stdin=code.encode("latin-1")).exit_code == 1


def test_output_goes_to_a_file(project, lint):
    folder = project({"loss.py": BAD})
    result = lint("check", "--output-format", "json", "-o", "out/report.json")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert json.loads((folder / "out/report.json").read_text())[0]["code"] == "TRN201"


def test_an_output_file_that_cannot_be_written_is_named(project, lint):
    project({"loss.py": BAD, "file": ""})
    result = lint("check", "-o", "file/report.txt")
    assert result.exit_code != 0
    assert "file/report.txt: cannot be written" in result.stderr


@pytest.mark.parametrize("form", ["text", "concise", "json", "sarif", "github", "gitlab", "junit"])
def test_every_format_names_rule_and_file(project, lint, form):
    project({"loss.py": BAD})
    result = lint("check", "--output-format", form)
    assert result.exit_code == 1
    assert "TRN201" in result.stdout
    assert "loss.py" in result.stdout


def test_json_has_the_fields_of_the_ecosystem(project, lint):
    project({"loss.py": BAD})
    (item,) = json.loads(lint("check", "--output-format", "json").stdout)
    assert item["code"] == "TRN201"
    assert item["name"] == "log-of-sigmoid"
    assert item["location"] == {"row": 7, "column": 13}
    assert item["end_location"] == {"row": 7, "column": 25}
    assert item["fix"]["applicability"] == "safe"
    assert item["confidence"] == "certain"
    assert "float32" in item["witness"]
    assert item["noqa_row"] == 7
    assert item["cell"] is None


def test_statistics_count_findings_by_rule(project, lint):
    project({"a.py": BAD, "b.py": BAD})
    result = lint("check", "--statistics")
    assert "TRN201" in result.stdout
    assert "2" in result.stdout
    assert "a.py" not in result.stdout


def test_source_can_be_left_out(project, lint):
    project({"loss.py": BAD})
    assert "^^^^" not in lint("check", "--no-show-source").stdout


def test_color_is_for_terminals_unless_forced(project, lint, monkeypatch):
    project({"loss.py": BAD})
    assert "\x1b[" not in lint("check").stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in lint("check").stdout
    assert "\x1b[" not in lint("check", "--no-color").stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in lint("check").stdout


def test_quiet_prints_findings_only_and_verbose_says_what_was_done(project, lint):
    project({"net.py": CLEAN})
    assert lint("check", "--quiet").output == ""
    assert "1 files" in lint("check", "--verbose").stderr


def test_a_baseline_hides_what_was_there(project, lint):
    folder = project({"loss.py": BAD})
    assert lint("check", "--write-baseline", "known.json").exit_code == 0
    assert lint("check", "--baseline", "known.json").exit_code == 0
    project({"loss.py": "\n\n" + BAD, "new.py": BAD, "pipeline-lint.toml": 'baseline = "known.json"\n'})
    result = lint("check", "--output-format", "json")
    assert [item["filename"] for item in json.loads(result.stdout)] == [str(folder / "new.py")]


def test_a_missing_baseline_is_an_error(project, lint):
    project({"loss.py": BAD})
    result = lint("check", "--baseline", "known.json")
    assert result.exit_code == 2
    assert "--write-baseline" in result.stderr


def test_add_noqa_silences_everything_that_is_there(project, lint):
    folder = project({"loss.py": BAD})
    assert lint("check", "--add-noqa").exit_code == 0
    assert (folder / "loss.py").read_text() == BAD.replace("torch.log(p)", "torch.log(p)  # noqa: TRN201")
    assert lint("check").exit_code == 0


def test_nothing_to_check_is_said(project, lint):
    project()
    result = lint("check")
    assert result.exit_code == 0
    assert "no Python files" in result.stderr


def test_min_confidence_hides_what_is_less_sure(project, lint):
    project({"loss.py": BAD.replace("torch.log(p)", "torch.log(p)  # noqa: TRN201")})
    assert lint("check", "--min-confidence", "certain").exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("--config", "a.toml", "--isolated"),
        ("--add-noqa", "--watch"),
        ("--watch", "-"),
        ("--stdin-filename", "a.py", "b.py"),
        ("--output-format", "xml"),
        ("--min-confidence", "sure"),
        ("--per-file-ignores", "tests"),
        ("--jobs", "-1"),
        ("--nonsense",),
    ],
)
def test_wrong_options_give_2_and_a_message(project, lint, words):
    project({"loss.py": BAD})
    result = lint("check", *words, stdin="")
    assert result.exit_code == 2
    assert result.stderr.strip()


def test_isolated_uses_no_configuration(project, lint):
    project({"loss.py": BAD, "pyproject.toml": '[tool.pipeline-lint]\nselect = ["TRN1"]\n'})
    assert lint("check").exit_code == 0
    assert lint("check", "--isolated").exit_code == 1
    project({"other.toml": 'select = ["TRN1"]\n'})
    assert lint("check", "--config", "other.toml").exit_code == 0


def test_a_file_that_is_named_twice_is_reported_once(project, lint):
    folder = project({"loss.py": BAD, "part/pipeline-lint.toml": ""})
    (folder / "link.py").symlink_to("loss.py")
    result = lint("check", "--output-format", "json", "loss.py", "link.py", ".", "./loss.py")
    assert len(json.loads(result.stdout)) == 1
