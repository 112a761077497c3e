"""`python -m pipeline_lint` is `pipeline-lint`."""

from __future__ import annotations

from pipeline_lint.cli import main

main(prog_name="pipeline-lint")
