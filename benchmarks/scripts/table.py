"""Runs the catalogue bare, guarded, and guarded with a fault, and writes scripts.md.

    python -m benchmarks.scripts.table CLONES [--only TEXT]

CLONES holds the repositories as OWNER+NAME. Each script runs in a copy of its repository.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import torch

from benchmarks.scripts.catalogue import CATALOGUE, Public
from runtime_guard.incidents.bundle import Bundle, bundles_of
from runtime_guard.incidents.incident import Incident

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "benchmarks" / "scripts.md"
_TIMES = re.compile(
    r"(time|dt|mfu|epoch_time|elapsed|took)[^0-9\n]{0,6}[0-9.]+ ?(ms|s|%)?|[0-9.]+ ?m?s\b|-?[0-9.]+%", re.I
)
"""What a script prints of the clock differs from run to run."""


@dataclass(frozen=True, slots=True)
class Run:
    """Of a script."""

    code: int
    digest: str
    out: str
    err: str
    incidents: tuple[Incident, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clones", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--dry", action="store_true", help="print, do not write")
    arguments = parser.parse_args()
    chosen = [item for item in CATALOGUE if arguments.only in f"{item.repository}/{item.script}"]
    rows = []
    for public in chosen:
        rows.append(_row(public, arguments.clones))
        print(rows[-1], flush=True)
    if not arguments.dry:
        PAGE.write_text(_page(rows), encoding="utf-8")


def _row(public: Public, clones: Path) -> str:
    with tempfile.TemporaryDirectory() as made:
        runs = [
            _run(public, clones, Path(made), *flags)
            for flags in ((), ("--guard",), ("--guard", "--fault", public.fault))
        ]
    bare, guarded, bad = runs
    if bare.code:
        same = f"the bare script ends with {bare.code}: {_last_line(bare.err)}"
    elif (guarded.code, guarded.digest, _timeless(guarded.out)) == (0, bare.digest, _timeless(bare.out)):
        same = "same"
    elif (guarded.code, guarded.digest) == (0, bare.digest):
        same = "same parameters, but prints another line: " + _first_difference(bare.out, guarded.out)
    else:
        same = f"another: exit {guarded.code}, {_last_line(guarded.err) or 'other numbers'}"
    false = f", {len(guarded.incidents)} false incidents" if guarded.incidents else ""
    name = f"{public.repository.partition('/')[2]}: {public.script}{public.note}"
    if public.num_processes > 1:
        name += f", {public.num_processes} processes"
    return f"| {name} | {public.loop} | {same}{false} | {public.fault} | {_verdict(bad)} |"


def _run(public: Public, clones: Path, made: Path, *flags: str) -> Run:
    whole = made / "-".join(("run", *flags)).replace("--", "")
    shutil.copytree(clones / public.repository.replace("/", "+"), whole)
    script = whole / public.script
    folder = whole / public.folder if public.folder else script.parent
    public.prepare(folder)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", ""), str(whole)]),
    }
    environment["PYTHONHASHSEED"] = "0"  # The order of a set decides about labels in one.
    environment["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # Some scripts are older than that.
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(public.num_processes)]
    command = [sys.executable, *(start if public.num_processes > 1 else [])]
    command += ["-m", "benchmarks.scripts", *flags, str(script), *public.arguments.split()]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    found = [Bundle.read(path).incident for path in bundles_of(folder / "guard-run")] if flags else []
    lines = done.stdout.replace(str(whole), "").splitlines()
    if public.num_processes > 1:
        lines.sort()  # They come as they will.
    digests = " ".join(line for line in lines if line.startswith("digest "))
    out = "\n".join(line for line in lines if not line.startswith("digest "))
    return Run(done.returncode, digests, out, done.stderr, tuple(found))


def _timeless(text: str) -> str:
    return _TIMES.sub("", text)


def _first_difference(a: str, b: str) -> str:
    pairs = zip_longest(_timeless(a).splitlines(), _timeless(b).splitlines(), fillvalue="")
    return next(f"`{one}` or `{other}`" for one, other in pairs if one != other)


def _verdict(run: Run) -> str:
    if not run.incidents:
        return f"none: exit {run.code}, {_last_line(run.err)}"
    incident = run.incidents[0]
    birth = incident.birth
    if birth is None:
        return f"step {incident.step}, {incident.what}: no cause named; {'; '.join(incident.notes)}"
    equal = ", the replay was not bit-equal" if incident.is_replay_bit_equal is False else ""
    error = "" if incident.error is None else f", behind {incident.error.partition(':')[0]}"
    names = " = ".join(birth.modules) or birth.operation
    where = "" if birth.place is None else f" at `{birth.place.text}`"
    return f"step {incident.step}: {birth.kind} {names}{where}{equal}{error}"


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1][:160]


def _page(rows: list[str]) -> str:
    return "\n".join(
        [
            "# Public scripts under `runtime-guard run`",
            "",
            "Written by `python -m benchmarks.scripts.table CLONES`. The scripts are unchanged, run for a moment",
            f"on made-up data with one CPU thread and torch {torch.__version__}: bare, guarded, and guarded with",
            "one fault put into what they train on: a NaN in the third batch of a loader (where several workers",
            "load, the third of each), in the script's own tensor or array, or, where it trains on words, in the",
            "vector of one word. Same: every printed line but for times, and every bit of the parameters at the end.",
            "",
            "| script | loops over | bare and guarded | fault in | incident |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
            "What this does not show: a script that writes to its parameters by itself, without an optimizer, is not",
            "watched (regression, and word_language_model unless told to use one, of pytorch/examples).",
            "",
        ]
    )


if __name__ == "__main__":
    main()
