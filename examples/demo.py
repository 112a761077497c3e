"""Shows on a copy of the examples what the checker finds and what its fixes do: `make demo`."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).parent
LINT = (sys.executable, "-m", "pipeline_lint")
DIVERGING = ("vae/train.py", "--steps", "20", "--lr", "0.2")


def say(text: str) -> None:
    bold = "\x1b[1m{}\x1b[0m" if sys.stdout.isatty() else "{}"
    print("\n" + bold.format(f"==> {text}"), flush=True)


def run(folder: Path, *command: str, expected: int) -> None:
    """Runs a command as a person would type it and stops the demonstration where it ends in another way."""
    shown = ["pipeline-lint" if command[:3] == LINT else "python", *command[3 if command[:3] == LINT else 1 :]]
    print(f"$ {' '.join(shown)}", flush=True)
    done = subprocess.run(command, cwd=folder, check=False)
    if done.returncode != expected:
        sys.exit(f"demo: expected exit code {expected}, found {done.returncode}")


def train(folder: Path) -> None:
    """Trains the autoencoder with a high learning rate and shows the last losses."""
    print(f"$ python {' '.join(DIVERGING)} | tail -n 3", flush=True)
    done = subprocess.run([sys.executable, *DIVERGING], cwd=folder, capture_output=True, text=True, check=True)
    print("\n".join(done.stdout.splitlines()[-3:]), flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="pipeline-lint-demo-") as temporary:
        copy = Path(temporary) / "examples"
        shutil.copytree(EXAMPLES, copy, ignore=shutil.ignore_patterns("__pycache__", ".*", "demo.py"))

        say("A training run that loses its loss to NaN")
        train(copy)

        say("What makes the three example pipelines fragile")
        run(copy, *LINT, "check", expected=1)

        say("What the fixes would change, the unsafe ones included")
        run(copy, *LINT, "fix", "--unsafe-fixes", "--diff", expected=1)

        say("The fixes, applied to the copy; outputs without names remain, because people have to name them")
        run(copy, *LINT, "fix", "--unsafe-fixes", "--ignore", "outputs", expected=0)
        run(copy, *LINT, "check", "--ignore", "outputs", expected=0)

        say("The same training run after the fixes")
        train(copy)


if __name__ == "__main__":
    main()
