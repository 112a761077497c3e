"""`pipeline-lint fix`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from samples import BAD, CLEAN, FIXED


def test_safe_fixes_are_applied_and_the_rest_reported(project, lint):
    folder = project({"loss.py": BAD})
    result = lint("fix")
    assert result.exit_code == 0
    assert (folder / "loss.py").read_text() == FIXED
    assert "1" in result.stdout
    assert lint("check").exit_code == 0


def test_diff_changes_nothing_and_git_applies_it(project, lint):
    folder = project({"deep/loss.py": BAD, "net.py": CLEAN})
    result = lint("fix", "--diff")
    assert result.exit_code == 1
    assert (folder / "deep/loss.py").read_text() == BAD
    assert "Would fix 1 problem in 1 file." in result.stderr
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "apply", "-"], input=result.stdout_bytes, check=True)
    assert (folder / "deep/loss.py").read_text() == FIXED
    assert lint("fix", "--diff").exit_code == 0


def test_unsafe_fixes_need_their_option(project, lint):
    code = BAD.replace("torch.sigmoid(x)", "torch.softmax(x, dim=1)").replace("torch.log(p)", "torch.log(p + 1e-8)")
    folder = project({"loss.py": code})
    lint("fix")
    assert (folder / "loss.py").read_text() == code
    result = lint("fix", "--unsafe-fixes")
    assert result.exit_code == 0
    assert "log_softmax(x, dim=1)" in (folder / "loss.py").read_text()


def test_unfixable_rules_are_reported_and_left(project, lint):
    folder = project({"loss.py": BAD, "pyproject.toml": '[tool.pipeline-lint]\nunfixable = ["TRN201"]\n'})
    assert lint("fix").exit_code == 1
    assert (folder / "loss.py").read_text() == BAD


def test_a_suppressed_finding_is_not_fixed(project, lint):
    code = BAD.replace("torch.log(p)", "torch.log(p)  # noqa: TRN201")
    folder = project({"loss.py": code})
    assert lint("fix").exit_code == 0
    assert (folder / "loss.py").read_text() == code


def test_a_known_finding_of_the_baseline_is_not_fixed(project, lint):
    folder = project({"loss.py": BAD})
    lint("check", "--write-baseline", "known.json")
    assert lint("fix", "--baseline", "known.json").exit_code == 0
    assert (folder / "loss.py").read_text() == BAD


def test_exit_codes_with_exit_non_zero_on_fix(project, lint):
    project({"loss.py": BAD})
    assert lint("fix", "--exit-non-zero-on-fix").exit_code == 1
    assert lint("fix", "--exit-non-zero-on-fix").exit_code == 0


def test_standard_input_is_fixed_to_standard_output(project, lint):
    project()
    assert lint("fix", "--stdin-filename", "loss.py", stdin=BAD).stdout == FIXED
    assert lint("fix", "-", stdin=CLEAN).stdout == CLEAN
    broken = "def f(:\n"
    assert lint("fix", "-", stdin=broken).stdout == broken


@pytest.mark.parametrize(
    ("answers", "fixed"), [("y\ny\n", [1, 1]), ("n\ny\n", [0, 1]), ("a\n", [1, 1]), ("q\n", [0, 0]), ("y\nq\n", [1, 0])]
)
def test_interactive_asks_for_each_fix(project, lint, answers, fixed):
    folder = project({"a.py": BAD, "b.py": BAD})
    result = lint("fix", "--interactive", stdin=answers)
    assert [(folder / name).read_text() == FIXED for name in ("a.py", "b.py")] == [bool(x) for x in fixed]
    assert "+    return -F.logsigmoid(x)" in result.stderr


def test_bytes_outside_the_fix_stay(project, lint):
    def dressed(code):
        text = "\ufeff# -*- coding: utf-8 -*-\r\n# é\t\r\n" + code.replace("\n", "\r\n")
        return (text.rstrip("\r\n") + "  # ende").encode()

    folder = project({"loss.py": dressed(BAD)})
    lint("fix")
    assert (folder / "loss.py").read_bytes() == dressed(FIXED)


def test_an_encoding_without_the_characters_is_kept(project, lint):
    head = "# -*- coding: latin-1 -*-\n# \xe9\n"
    folder = project({"loss.py": (head + BAD).encode("latin-1")})
    lint("fix")
    assert (folder / "loss.py").read_bytes() == (head + FIXED).encode("latin-1")


def test_a_link_stays_a_link_and_modes_are_kept(project, lint):
    folder = project({"real/loss.py": BAD})
    (folder / "real/loss.py").chmod(0o755)
    (folder / "link.py").symlink_to("real/loss.py")
    shutil.move(folder / "real", folder.parent / "elsewhere")
    (folder / "link.py").unlink()
    (folder / "link.py").symlink_to("../elsewhere/loss.py")
    assert lint("fix").exit_code == 0
    assert (folder / "link.py").is_symlink()
    assert (folder / "link.py").read_text() == FIXED
    assert (folder.parent / "elsewhere/loss.py").stat().st_mode & 0o777 == 0o755


def test_two_fixes_in_a_file_and_an_import_that_both_need(project, lint):
    code = BAD.replace("import torch.nn.functional as F\n", "").replace(
        "    return -torch.log(p)", "    q = torch.log(1 - p)\n    return -torch.log(p) - q"
    )
    folder = project({"loss.py": code})
    assert lint("fix").exit_code == 0
    fixed = (folder / "loss.py").read_text()
    assert fixed.count("logsigmoid(x)") == 1
    assert fixed.count("logsigmoid(-x)") == 1
    compile(fixed, "loss.py", "exec")


def test_diff_and_interactive_exclude_one_another(project, lint):
    project({"loss.py": BAD})
    assert lint("fix", "--diff", "--interactive").exit_code == 2


def test_what_a_killed_run_left_is_finished_wherever_below_it_lies(project, lint):
    folder = project({"one/pyproject.toml": "", "one/loss.py": BAD, "one/other.py": BAD})
    code = (
        "import os, signal\nfrom pathlib import Path\n"
        "from pipeline_lint.engine.transaction import Change, write_group\n"
        "real = os.replace\n"
        "def replace(source, target):\n"
        "    real(source, target)\n"
        "    if str(target).endswith('loss.py'):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.replace = replace\n"
        "changes = {name: Change(Path(name).read_bytes(), b'new = 1\\n') for name in ('one/loss.py', 'one/other.py')}\n"
        "write_group(changes, root=Path('one'))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert {(folder / name).read_text() for name in ("one/loss.py", "one/other.py")} == {BAD, "new = 1\n"}
    result = lint("check")
    assert "recovered" in result.stderr
    assert {(folder / name).read_text() for name in ("one/loss.py", "one/other.py")} == {"new = 1\n"}
    assert result.exit_code == 0
