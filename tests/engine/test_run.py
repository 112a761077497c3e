"""A run over files: the cache, several processes, rules that fail, files that are not given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from samples import BAD, CLEAN

from pipeline_lint.config import Settings, SettingsResolver
from pipeline_lint.diagnostic import Report
from pipeline_lint.engine.run import Checker, RunOptions, check_contents

LOCAL_RULES = '''
import os
import libcst as cst
from pipeline_lint.rule import Finding, Rule

class NameOfInterest(Rule):
    """A name is of interest."""
    code = "LOC001"
    def check(self, source):
        for name in source.nodes(cst.Name):
            if name.value == "interesting":
                yield Finding(name, "`interesting` is interesting")
            if name.value == "fatal":
                os._exit(7)
            if name.value == "raising":
                raise LookupError("no such thing")
'''
CONFIGURATION = 'local-rules = ["lint"]\nselect = ["LOC001", "TRN201"]\nexclude = ["lint"]\n'


def run(paths, *, jobs: int = 1, use_cache: bool = False, **kwargs) -> tuple[Report, int]:
    checker = Checker(SettingsResolver(), RunOptions(jobs=jobs, use_cache=use_cache))
    try:
        return checker.check(paths, **kwargs), checker.num_parsed
    finally:
        checker.close()
        assert checker.cache_problems() == []


def summary(report: Report) -> list[tuple[str, str, int]]:
    return [(d.path, d.code, d.place.location.row) for d in report.diagnostics]


@pytest.fixture
def local(project):
    def write(files):
        return project({"lint/interest.py": LOCAL_RULES, "pipeline-lint.toml": CONFIGURATION, **files})

    return write


def test_nothing_is_parsed_twice(project):
    project({"a.py": BAD, "b.py": CLEAN, "c.py": "x = 1\n"})
    paths = ["a.py", "b.py", "c.py"]
    first, _ = run(paths, use_cache=True)
    again, num_parsed = run(paths, use_cache=True)
    assert num_parsed == 0
    assert again.diagnostics == first.diagnostics != []
    project({"c.py": BAD})
    changed, num_parsed = run(paths, use_cache=True)
    assert num_parsed == 1
    assert summary(changed) == [("a.py", "TRN201", 7), ("c.py", "TRN201", 7)]


def test_a_cached_run_imports_neither_libcst_nor_rules(project):
    project({"a.py": BAD})
    code = (
        "import sys\nfrom pipeline_lint.cli import main\n"
        "try:\n    main(['check', '--output-format', 'concise'])\n"
        "except SystemExit as stop:\n    assert stop.code == 1\n"
        "print(sorted(m for m in sys.modules if m.partition('.')[0] in ('libcst', 'torch', 'yaml')"
        " or m.startswith('pipeline_lint.rules')), file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        for _ in range(2)
    ]
    assert outputs[0].stdout == outputs[1].stdout
    assert "TRN201" in outputs[1].stdout
    assert "libcst" in outputs[0].stderr
    assert outputs[1].stderr.strip() == "[]"


def test_the_cache_knows_the_settings(project):
    project({"a.py": BAD})
    assert run(["a.py"], use_cache=True)[0].diagnostics
    project({"pipeline-lint.toml": 'ignore = ["TRN201"]\n'})
    assert not run(["a.py"], use_cache=True)[0].diagnostics


def test_a_changed_local_rule_is_run_anew(local):
    folder = local({"a.py": "interesting = 1\n"})
    assert summary(run(["a.py"], use_cache=True)[0]) == [("a.py", "LOC001", 1)]
    rule = folder / "lint/interest.py"
    rule.write_text(rule.read_text().replace('"interesting"', '"boring"'))
    # A second process, because Python imports a module once.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    script = "from pipeline_lint import check_paths; print([d.code for d in check_paths(['a.py']).diagnostics])"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert output.stdout.strip() == "[]"


def test_several_processes_find_the_same_in_the_same_order(local):
    local({f"f{i:02}.py": BAD + f"interesting = {i}\n" * (i % 3) for i in range(30)})
    paths = [f"f{i:02}.py" for i in reversed(range(30))]
    alone, together = run(paths, jobs=1)[0], run(paths, jobs=2)[0]
    assert alone.diagnostics == together.diagnostics
    assert len(alone.diagnostics) == 60
    places = [(d.path, d.place.start) for d in alone.diagnostics]
    assert places == sorted(places)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_rule_that_raises_is_told_with_its_file_and_the_others_run_on(local, jobs):
    local({f"f{i:02}.py": BAD for i in range(20)} | {"bad.py": "raising = interesting = 1\n" + BAD})
    report, _ = run(["bad.py", *(f"f{i:02}.py" for i in range(20))], jobs=jobs)
    (failure,) = report.failures
    assert failure.path == "bad.py"
    assert "rule LOC001 (name-of-interest) failed on this file: LookupError: no such thing" in failure.message
    assert "report it" in failure.message
    assert ("bad.py", "TRN201", 8) in summary(report)
    assert len(report.diagnostics) == 21


def test_a_file_that_kills_its_process_is_told_and_the_others_are_checked(local):
    local({f"f{i:02}.py": BAD for i in range(20)} | {"bad.py": "fatal = 1\n"})
    report, _ = run(["bad.py", *(f"f{i:02}.py" for i in range(20))], jobs=2)
    assert [failure.path for failure in report.failures] == ["bad.py"]
    assert "process died on this file" in report.failures[0].message
    assert len(report.diagnostics) == 20


def test_a_file_that_vanished_is_told(project):
    project({"a.py": BAD})
    report, _ = run(["a.py", "gone.py"])
    assert [failure.path for failure in report.failures] == ["gone.py"]
    assert len(report.diagnostics) == 1


def test_contents_in_memory_count_instead_of_the_disk(project):
    project({"a.py": BAD})
    assert not run(["a.py"], contents={"a.py": CLEAN.encode()})[0].diagnostics
    assert check_contents({"b.py": BAD.encode()}, Settings()).diagnostics


def test_each_file_is_checked_under_its_nearest_configuration(project):
    project({"a.py": BAD, "part/b.py": BAD, "part/pipeline-lint.toml": 'ignore = ["TRN2"]\n'})
    assert summary(run(["a.py", "part/b.py"])[0]) == [("a.py", "TRN201", 7)]


BASE = "from torch import nn\n\n\nclass Base(nn.Module):\n    pass\n"
NET = "from base import Base\n\n\nclass Net(Base):\n    def forward(self, x):\n        return self.a(x), self.b(x)\n"


def test_findings_do_not_depend_on_which_files_are_given(project):
    project({"base.py": BASE, "net.py": NET})
    assert summary(run(["net.py"])[0]) == summary(run(["base.py", "net.py"])[0]) == [("net.py", "TRN101", 6)]


def test_a_cached_outcome_counts_only_while_the_files_it_read_are_unchanged(project):
    folder = project({"base.py": BASE, "net.py": NET})
    assert summary(run(["net.py"], use_cache=True)[0]) == [("net.py", "TRN101", 6)]
    project({"base.py": "class Base:\n    pass\n"})
    assert summary(run(["net.py"], use_cache=True)[0]) == []
    (folder / "base.py").unlink()
    assert summary(run(["net.py"], use_cache=True)[0]) == []
    project({"base.py": BASE})
    assert summary(run(["net.py"], use_cache=True)[0]) == [("net.py", "TRN101", 6)]


def test_words_decide_which_files_are_parsed(project):
    project({"a.py": BAD, "plain.py": "import os\n\nprint(os.getcwd())\n"})
    assert run(["a.py", "plain.py"])[1] == 1


def test_memory_of_a_source_is_freed_without_the_collector(project):
    import gc
    import weakref

    from pipeline_lint.documents import open_document
    from pipeline_lint.facts.code.names import Names
    from pipeline_lint.parsing import parse

    source = parse(open_document("a.py", BAD.encode()))
    source.fact(Names)
    module = weakref.ref(source.document)
    gc.disable()
    try:
        source.close()
        del source
        assert module() is None
    finally:
        gc.enable()
