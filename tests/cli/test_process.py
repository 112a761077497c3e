"""The command line as real processes: interrupted, killed, piped, on a terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from samples import BAD, FIXED

COMMAND = [sys.executable, "-m", "pipeline_lint"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def start(*words: str, **options) -> subprocess.Popen:
    return subprocess.Popen([*COMMAND, *words], env=ENVIRONMENT, **options)


def many_files(project, count: int = 100) -> tuple[Path, list[Path]]:
    folder = project({f"part{i % 7}/loss{i:03}.py": BAD + f"\n\nNUMBER = {i}\n" for i in range(count)})
    return folder, sorted(folder.rglob("loss*.py"))


def assert_whole(files: list[Path]) -> int:
    """Every file is old or new to the last byte; the number of new ones."""
    num_new = 0
    for file in files:
        number = int(file.stem[-3:])
        content = file.read_text()
        assert content in (BAD + f"\n\nNUMBER = {number}\n", FIXED + f"\n\nNUMBER = {number}\n")
        num_new += content.startswith(FIXED)
    return num_new


def test_a_fix_killed_at_any_moment_leaves_whole_files_and_the_next_run_finishes(project):
    folder, files = many_files(project)
    states = []
    for _ in range(4):
        for file in files:
            file.write_text(BAD + f"\n\nNUMBER = {int(file.stem[-3:])}\n")
        process = start("fix", "--quiet", "--jobs", "1", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Killed as soon as the first file is written: the moments after that are what may go wrong.
        while process.poll() is None and assert_whole(files) == 0:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        states.append(assert_whole(files))
    assert any(0 < state < len(files) for state in states), f"no run was killed halfway: {states}"
    process = start("fix", "--quiet", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert assert_whole(files) == len(files)
    strays = [
        path
        for path in folder.rglob("*")
        if path.is_file() and path not in files and ".pipeline_lint_cache" not in str(path)
    ]
    assert strays == []


SLOW_RULE = '''
import time
from pathlib import Path
from pipeline_lint.rule import Rule

class SlowRule(Rule):
    """Takes its time."""
    code = "LOC001"
    def check(self, source):
        Path("started").touch()
        time.sleep(60)
        return iter(())
'''


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("command", ["check", "fix"])
def test_ctrl_c_ends_at_once_without_a_traceback(project, command, jobs):
    folder, _ = many_files(project, 20)
    project({"lint/slow_rule.py": SLOW_RULE, "pipeline-lint.toml": 'local-rules = ["lint"]\nselect = ["LOC001"]\n'})
    process = start(command, "--jobs", jobs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (folder / "started").exists():
        assert process.poll() is None
        time.sleep(0.01)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "interrupted" in errors
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_reader_that_goes_away_is_no_error(project, form):
    many_files(project, 60)
    command = " ".join([*COMMAND, "check", "--output-format", form, "| head -n 1; exit ${PIPESTATUS[0]}"])
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_terminal_gets_colors_and_progress_leaves_no_trace_in_a_pipe(project):
    project({"loss.py": BAD})
    master, slave = pty.openpty()
    process = start("check", stdout=slave, stderr=subprocess.PIPE)
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    process.communicate()
    os.close(master)
    assert process.returncode == 1
    assert b"\x1b[" in shown
    piped = subprocess.run([*COMMAND, "check"], capture_output=True, env=ENVIRONMENT, check=False)
    assert b"\x1b[" not in piped.stdout + piped.stderr
    assert b"Checking" not in piped.stderr


def test_watching_reports_again_after_a_change(project):
    folder = project({"loss.py": FIXED})
    process = start("check", "--watch", "--output-format", "concise", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        os.set_blocking(process.stdout.fileno(), False)
        seen = b""

        def wait_for(words: bytes) -> None:
            nonlocal seen
            deadline = time.monotonic() + 30
            while words not in seen:
                assert time.monotonic() < deadline, seen
                seen += process.stdout.read() or b""
                time.sleep(0.05)

        wait_for(b"All checks passed")
        (folder / "loss.py").write_text(BAD)
        wait_for(b"TRN201")
    finally:
        process.kill()
        process.communicate()


def test_a_code_that_is_no_utf8_in_the_terminal_is_shown_anyway(project):
    project({"loss.py": BAD.replace("import torch\n", "import torch  # é…\n", 1).replace("log(p)", "log(p)  # ü")})
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run([*COMMAND, "check"], capture_output=True, env=environment, check=False)
    assert done.returncode == 1, done.stderr
    assert b"TRN201" in done.stdout
