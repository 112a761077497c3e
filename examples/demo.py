"""Shows on a copy of an example what the guard says of a NaN, what is found in the code, and what the fixes do."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).parent
LINT = "pipeline-lint"
GUARD = "runtime-guard"
DIVERGING = ("vae/train.py", "--steps", "20", "--lr", "0.2")


def say(text: str) -> None:
    bold = "\x1b[1m{}\x1b[0m" if sys.stdout.isatty() else "{}"
    print("\n" + bold.format(f"==> {text}"), flush=True)


def run(folder: Path, name: str, *arguments: str, expected: int, last: int | None = None) -> None:
    """Runs a command as a person would type it, and stops the demonstration where it ends in another way.

    Of its standard output only the `last` lines are shown, or all.
    """
    print(f"$ {' '.join((name, *arguments))}", flush=True)
    module = {LINT: ("-m", "pipeline_lint"), GUARD: ("-m", "runtime_guard"), "python": ()}[name]
    command = [sys.executable, *module, *arguments]
    pipe = None if last is None else subprocess.PIPE
    done = subprocess.run(command, cwd=folder, check=False, stdout=pipe, text=True)
    if last is not None:
        print("\n".join(["...", *done.stdout.splitlines()[-last:]]), flush=True)
    if done.returncode != expected:
        sys.exit(f"demo: expected exit code {expected}, found {done.returncode}")


def main() -> None:
    copy = Path(tempfile.mkdtemp(prefix="pipeline-lint-demo-")) / "examples"
    shutil.copytree(EXAMPLES, copy, ignore=shutil.ignore_patterns("__pycache__", ".*", "demo.py"))

    say("A training run that loses its loss to NaN")
    run(copy, "python", *DIVERGING, expected=0, last=3)

    say("The same run under the guard, which names the operation that made the first NaN or inf")
    run(copy, GUARD, "run", "--logdir", "runs/broken", *DIVERGING, expected=1)

    say("What the checker finds in the code of that run, without running it")
    run(copy, LINT, "check", "vae", expected=1)

    say("What the fixes change, the unsafe ones included")
    run(copy, LINT, "fix", "--unsafe-fixes", "--diff", "vae", expected=1)

    say("The fixes, applied")
    run(copy, LINT, "fix", "--unsafe-fixes", "vae", expected=0)
    run(copy, LINT, "check", "vae", expected=0)

    say("The same run after the fixes")
    run(copy, GUARD, "run", "--logdir", "runs/fixed", *DIVERGING, expected=0, last=3)

    say("Both runs, to look at in TensorBoard, or as one page to be sent")
    guard, runs = Path(sys.executable).with_name(GUARD), copy / "runs"
    print(f"{guard} tensorboard {runs}\n{guard} export {runs / 'broken'}")


if __name__ == "__main__":
    main()
