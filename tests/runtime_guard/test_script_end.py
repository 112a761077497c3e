"""A script under `runtime-guard run` ends as it does under python: what it prints, how it fails, what it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.runtime_guard.processes import ROOT

ENDS = """
import argparse, atexit, os, signal, sys
parser = argparse.ArgumentParser()
parser.add_argument("how")
parser.add_argument("--policy")
parser.add_argument("-m")
options = parser.parse_args()
atexit.register(print, "at exit", options, __name__, os.path.basename(__file__))

def fail():
    raise ValueError("mine")

match options.how:
    case "number":
        sys.exit(3)
    case "chain":
        try:
            fail()
        except ValueError as error:
            raise KeyError("after it") from error
    case "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
    case "hook":
        sys.excepthook = lambda *error: print("hook", error[0].__name__)
        fail()
"""

SPAWNS = """
import os, pickle
import torch
from torch.utils.data import DataLoader

class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, index):
        return torch.full((3,), float(index + 1))

if __name__ == "__main__":
    torch.manual_seed(0)
    os.makedirs("elsewhere", exist_ok=True)
    os.chdir("elsewhere")
    net = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(net.parameters(), 1e-3)
    for x in DataLoader(Numbers(), batch_size=4, num_workers=1, multiprocessing_context="spawn"):
        optimizer.zero_grad()
        loss = net(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        print(repr(loss.item()))
    print(len(pickle.loads(pickle.dumps(Numbers()))))
"""

Ended = tuple[int, str, str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("scripts")
    for name, text in {
        "ends.py": ENDS,
        "spawns.py": SPAWNS,
        "wrong.py": "def f(:\n",
        "package/__init__.py": "",
        "package/names.py": "NAME = 'relative'\n",
        "package/train.py": "import sys\nfrom .names import NAME\nprint(NAME, __package__, __name__, sys.argv[1:])\n",
        "folder/__main__.py": "import beside\nprint(beside.__file__)\n",
        "folder/beside.py": "",
    }.items():
        path = found / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return found


def ended(folder: Path, arguments: Sequence[str], *, given: str = "") -> tuple[Ended, Ended]:
    """Exit code, what was printed and what was complained of, under python and under the guard."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, *command, *arguments], cwd=folder, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for command in ((), ("-m", "runtime_guard", "run"))
    ]  # fmt: skip
    (out, err), (guarded_out, guarded_err) = (process.communicate(given) for process in processes)
    bare, guarded = processes
    return (bare.returncode, out, err), (guarded.returncode, guarded_out, guarded_err)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
@pytest.mark.parametrize(
    ("how", "code"),
    [("number", 3), ("chain", 1), ("hook", 1), ("interrupt", -signal.SIGINT)],
)
def test_a_script_ends_as_under_python(folder: Path, how: str, code: int) -> None:
    bare, guarded = ended(folder, ["ends.py", how, "--policy", "x", "-m", "y"])
    assert bare[0] == code
    assert guarded == bare


@pytest.mark.parametrize(
    "arguments",
    [["wrong.py"], ["-m", "package.train", "--policy", "x"], ["folder"], ["spawns.py"]],
)
def test_a_script_prints_the_same_as_under_python(folder: Path, arguments: list[str]) -> None:
    bare, guarded = ended(folder, arguments)
    assert guarded == bare


def test_a_script_from_standard_input_runs(folder: Path) -> None:
    bare, guarded = ended(folder, ["-", "number"], given=ENDS)
    assert guarded == bare
    assert bare[0] == 3, bare
