"""What a training run depends on besides its code: versions, devices, settings of the process, git state."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from runtime_guard.secret import hide_secrets

PACKAGES = (
    "accelerate",
    "apex",
    "bitsandbytes",
    "catalyst",
    "deepspeed",
    "fastai",
    "lightning",
    "numpy",
    "pytorch-ignite",
    "pytorch-lightning",
    "tensorboard",
    "timm",
    "torchaudio",
    "torchmetrics",
    "torchvision",
    "transformers",
    "triton",
)
"""Distributions whose versions are recorded when they are installed. None is imported."""

VARIABLE_PREFIXES = (
    "CUBLAS_", "CUDA_", "CUDNN_", "GLOO_", "HIP_", "KMP_", "MKL_", "NCCL_", "NVIDIA_", "OMP_", "PYTORCH_", "ROCR_",
    "TORCH_", "TORCHINDUCTOR_", "TORCHDYNAMO_",
)  # fmt: skip
VARIABLE_NAMES = ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "PYTHONHASHSEED", "RANK", "WORLD_SIZE")

_COMMAND_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class Torch:
    """The installed torch, and what this process would run it with."""

    version: str
    git_version: str | None
    is_debug: bool
    cuda: str | None
    """The CUDA release that torch was built for; None for a build without it. `hip` likewise."""
    hip: str | None
    cudnn: str | None
    num_visible_gpus: int
    """How many CUDA or ROCm devices this process sees, after CUDA_VISIBLE_DEVICES."""
    num_threads: int
    num_interop_threads: int


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU of the machine, whether or not this process may see it."""

    index: int
    name: str
    memory_gib: float | None
    driver: str


@dataclass(frozen=True, slots=True)
class GitState:
    """The commit that is checked out, and how far the files have moved on from it."""

    commit: str
    branch: str | None
    """None on a detached head."""
    num_changed_files: int
    num_untracked_files: int

    @property
    def is_dirty(self) -> bool:
        """Whether a run here cannot be told from the commit alone. Ignored files do not count."""
        return self.num_changed_files > 0 or self.num_untracked_files > 0


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything that `collect` found. Fields that could not be found out are None, and `notes` says why."""

    python: str
    implementation: str
    platform: str
    num_cpus: int | None
    torch: Torch | None
    gpus: tuple[Gpu, ...]
    packages: Mapping[str, str]
    variables: Mapping[str, str]
    """Secret-looking values are replaced, see `secret.py`."""
    git: GitState | None
    notes: tuple[str, ...]

    @classmethod
    def collect(cls, directory: str | Path = ".") -> Environment:
        """Looks at this process, this machine and the git repository around `directory`.

        Imports torch when it is installed, but starts no CUDA context and draws no random number, so a process that
        collects can still fork data loader workers and trains as it would have. Never raises for what is missing.
        """
        notes: list[str] = []
        return cls(
            python=platform.python_version(),
            implementation=platform.python_implementation(),
            platform=platform.platform(),
            num_cpus=os.cpu_count(),
            torch=_torch(notes),
            gpus=_gpus(notes),
            packages=_packages(),
            variables=_variables(os.environ),
            git=_git(Path(directory), notes),
            notes=tuple(notes),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dataclasses.asdict(self)

    def describe(self) -> str:
        """A few aligned lines for people."""
        rows = [
            ("Python", f"{self.python} ({self.implementation})"),
            ("Platform", f"{self.platform}, {self.num_cpus or '?'} CPUs"),
            *_torch_rows(self.torch),
            *((f"GPU {gpu.index}", _gpu_line(gpu)) for gpu in self.gpus),
            *self.packages.items(),
            *self.variables.items(),
            ("git", _git_line(self.git)),
            *(("note", note) for note in self.notes),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _torch(notes: list[str]) -> Torch | None:
    try:
        import torch
    except ModuleNotFoundError as error:
        notes.append("torch is not installed" if error.name == "torch" else f"torch cannot be imported: {error}")
        return None
    except Exception as error:  # A broken installation raises whatever it likes.
        notes.append(f"torch is installed but cannot be imported: {type(error).__name__}: {error}")
        return None
    return Torch(
        version=str(torch.__version__),
        git_version=torch.version.git_version,
        is_debug=bool(torch.version.debug),
        cuda=torch.version.cuda,
        hip=torch.version.hip,
        cudnn=_cudnn(torch),
        num_visible_gpus=torch.cuda.device_count(),
        num_threads=torch.get_num_threads(),
        num_interop_threads=torch.get_num_interop_threads(),
    )


def _cudnn(torch: ModuleType) -> str | None:
    version = torch.backends.cudnn.version() if torch.version.cuda is not None else None
    if version is None:
        return None
    # 8.9.7 is 8907, and 9.1.0 is 90100.
    major, rest = divmod(int(version), 10_000 if version >= 90_000 else 1_000)
    return f"{major}.{rest // 100}.{rest % 100}"


def _gpus(notes: list[str]) -> tuple[Gpu, ...]:
    """From nvidia-smi, which looks without starting CUDA in this process."""
    if shutil.which("nvidia-smi") is None:
        return ()
    fields = "index,name,memory.total,driver_version"
    output = _output(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"], notes)
    return tuple(gpu for line in output.splitlines() if (gpu := _gpu(line)) is not None)


def _gpu(line: str) -> Gpu | None:
    values = [value.strip() for value in line.split(",")]
    if len(values) != 4 or not values[0].isdigit():
        return None
    index, name, memory_mib, driver = values
    memory_gib = int(memory_mib) / 1024 if memory_mib.isdigit() else None
    return Gpu(int(index), name, memory_gib, driver)


def _packages() -> dict[str, str]:
    return {name: version for name in PACKAGES if (version := _installed_version(name)) is not None}


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    return hide_secrets(
        {
            name: environ[name]
            for name in sorted(environ)
            if name.startswith(VARIABLE_PREFIXES) or name in VARIABLE_NAMES
        }
    )


def _git(directory: Path, notes: list[str]) -> GitState | None:
    if shutil.which("git") is None:
        notes.append("git is not installed")
        return None
    # Without optional locks, so that looking never disturbs a git command that runs beside us.
    status = _output(["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch"], notes, cwd=directory)
    headers = dict(line[2:].split(" ", 1) for line in status.splitlines() if line.startswith("# branch."))
    if "branch.oid" not in headers:
        return None
    if headers["branch.oid"] == "(initial)":
        notes.append("git: the repository has no commit yet")
        return None
    branch = headers.get("branch.head")
    return GitState(
        commit=headers["branch.oid"],
        branch=None if branch == "(detached)" else branch,
        num_changed_files=sum(line[0] in "12u" for line in status.splitlines()),
        num_untracked_files=sum(line[0] == "?" for line in status.splitlines()),
    )


def _output(command: list[str], notes: list[str], *, cwd: Path | None = None) -> str:
    """What the command prints; on failure nothing, and a note."""
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, errors="replace", timeout=_COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        notes.append(f"{command[0]}: {error}")
        return ""
    if done.returncode != 0:
        reason = (done.stderr or done.stdout).strip().splitlines()
        notes.append(f"{command[0]}: {reason[0] if reason else f'exit code {done.returncode}'}")
        return ""
    return done.stdout


def _torch_rows(torch: Torch | None) -> list[tuple[str, str]]:
    if torch is None:
        return [("torch", "none")]
    build = [f"CUDA {torch.cuda}"] if torch.cuda else [f"ROCm {torch.hip}"] if torch.hip else ["CPU only"]
    if torch.cudnn:
        build.append(f"cuDNN {torch.cudnn}")
    if torch.is_debug:
        build.append("debug build")
    return [
        ("torch", f"{torch.version} ({', '.join(build)})"),
        ("Visible GPUs", str(torch.num_visible_gpus)),
        ("Threads", f"{torch.num_threads} within an operation, {torch.num_interop_threads} between operations"),
    ]


def _gpu_line(gpu: Gpu) -> str:
    memory = "memory unknown" if gpu.memory_gib is None else f"{gpu.memory_gib:.1f} GiB"
    return f"{gpu.name}, {memory}, driver {gpu.driver}"


def _git_line(git: GitState | None) -> str:
    if git is None:
        return "no commit known"
    changes = f"{git.num_changed_files} changed, {git.num_untracked_files} untracked" if git.is_dirty else "clean"
    return f"{git.commit} on {git.branch or 'no branch'}, {changes}"
