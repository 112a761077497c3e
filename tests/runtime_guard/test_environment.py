from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from runtime_guard import __version__
from runtime_guard.__main__ import main
from runtime_guard.environment import Environment


@pytest.fixture
def git_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "train.py").write_text("print('training')\n")
    for command in (
        ["init", "--quiet", "--initial-branch=trunk"],
        ["add", "."],
        ["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "--message=First"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def put_program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!{sys.executable}\n{textwrap.dedent(script)}")
    program.chmod(0o755)


def test_python_and_torch_are_those_of_this_process(tmp_path: Path) -> None:
    collected = Environment.collect(tmp_path)
    assert collected.python == platform.python_version()
    assert collected.torch is not None
    assert collected.torch.version == torch.__version__
    assert collected.torch.num_threads == torch.get_num_threads()
    assert collected.torch.num_visible_gpus == torch.cuda.device_count()
    assert collected.packages["tensorboard"]


def test_collecting_draws_no_random_number_and_starts_no_cuda(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    Environment.collect(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.cuda.is_initialized()


def test_an_environment_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Environment.collect(tmp_path).python = "4"  # type: ignore[misc]


def test_variables_that_steer_torch_are_kept_and_others_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NCCL_DEBUG", "INFO")
    monkeypatch.setenv("TORCH_HUB_TOKEN", "hunter2")
    monkeypatch.setenv("UNRELATED_THING", "hunter3")
    collected = Environment.collect(tmp_path)
    assert collected.variables["NCCL_DEBUG"] == "INFO"
    assert "UNRELATED_THING" not in collected.variables
    everything = collected.describe() + json.dumps(collected.as_dict())
    assert "TORCH_HUB_TOKEN" in everything
    assert "hunter" not in everything


def test_a_clean_checkout_is_clean(git_repository: Path) -> None:
    git = Environment.collect(git_repository).git
    assert git is not None
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=git_repository, capture_output=True, text=True, check=True)
    assert git.commit == head.stdout.strip()
    assert git.branch == "trunk"
    assert not git.is_dirty


def test_changed_and_new_files_make_a_checkout_dirty(git_repository: Path) -> None:
    (git_repository / "train.py").write_text("print('changed')\n")
    (git_repository / "new name.py").write_text("")
    git = Environment.collect(git_repository).git
    assert git is not None
    assert (git.num_changed_files, git.num_untracked_files) == (1, 1)
    assert git.is_dirty


def test_a_detached_head_has_no_branch(git_repository: Path) -> None:
    subprocess.run(["git", "checkout", "--quiet", "--detach"], cwd=git_repository, check=True)
    git = Environment.collect(git_repository).git
    assert git is not None
    assert git.branch is None


def test_a_folder_below_the_repository_has_its_commit(git_repository: Path) -> None:
    below = git_repository / "models"
    below.mkdir()
    assert Environment.collect(below).git is not None


def test_without_git_repository_a_note_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    collected = Environment.collect(tmp_path)
    assert collected.git is None
    assert any("not a git repository" in note for note in collected.notes)


def test_without_any_commit_a_note_says_so(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert "git: the repository has no commit yet" in Environment.collect(tmp_path).notes


def test_gpus_are_those_that_nvidia_smi_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_program(
        tmp_path / "bin",
        "nvidia-smi",
        """
        print("0, NVIDIA A100-SXM4-80GB, 81920, 550.54.15")
        print("1, NVIDIA Thing, [N/A], 550.54.15")
        """,
    )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    gpus = Environment.collect(tmp_path).gpus
    assert [(gpu.index, gpu.name, gpu.memory_gib, gpu.driver) for gpu in gpus] == [
        (0, "NVIDIA A100-SXM4-80GB", 80.0, "550.54.15"),
        (1, "NVIDIA Thing", None, "550.54.15"),
    ]


def test_a_failing_nvidia_smi_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_program(tmp_path / "bin", "nvidia-smi", "import sys; sys.exit('Failed to initialize NVML')")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    collected = Environment.collect(tmp_path)
    assert collected.gpus == ()
    assert "nvidia-smi: Failed to initialize NVML" in collected.notes


@pytest.mark.parametrize(
    ("module", "note"),
    [
        ("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')", "torch is not installed"),
        ("raise OSError('libcudart.so.13: cannot open')", "OSError: libcudart.so.13: cannot open"),
        ("import torch_needs_this", "No module named 'torch_needs_this'"),
    ],
)
def test_without_a_working_torch_the_command_still_answers(tmp_path: Path, module: str, note: str) -> None:
    (tmp_path / "torch.py").write_text(module + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "runtime_guard", "environment"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert note in done.stdout
    assert platform.python_version() in done.stdout


def test_json_holds_every_field() -> None:
    result = CliRunner().invoke(main, ["environment", "--json"])
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.output)) == {field.name for field in dataclasses.fields(Environment)}


def test_text_names_versions_and_platform(git_repository: Path) -> None:
    result = CliRunner().invoke(main, ["environment", "--directory", str(git_repository)])
    assert result.exit_code == 0, result.output
    for part in (platform.python_version(), torch.__version__, platform.platform(), "on trunk, clean"):
        assert part in result.output


def test_a_missing_directory_is_named() -> None:
    result = CliRunner().invoke(main, ["environment", "--directory", "no/such/folder"])
    assert result.exit_code == 2
    assert "no/such/folder" in result.output


def test_the_version_is_printed() -> None:
    assert __version__ in CliRunner().invoke(main, ["--version"]).output
