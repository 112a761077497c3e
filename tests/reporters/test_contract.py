"""What holds for every module of `reporters/`."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from pipeline_lint.diagnostic import Applicability, Edit, Excerpt, Failure, Fix, Location, Report
from pipeline_lint.document import Document
from pipeline_lint.reporter import load_reporter, reporter_names
from tests.reporters.example_reports import edit, empty_report, finding, full_report, options, place, report_of, script

FOR_PROGRAMS = {"json", "sarif", "gitlab", "junit"}
every_reporter = pytest.mark.parametrize("name", reporter_names())


class Characters(Document):
    """Any text, also such as only the strings of a notebook's JSON can hold."""

    def splice(self, edits: Sequence[Edit]) -> bytes:
        raise NotImplementedError


def hostile_report() -> Report:
    """What no well-behaved rule gives, but a strange file or a careless local rule may."""
    text = "a\x00 = '\x1b[31m\u202e\ud800 ]]>&<\"' + \t\x0c b\n" + "w" * 200_000 + "\n" + "損" * 50_000 + "\n"
    strange = Characters("\udcff,:%\n\x1b.py", b"", text)
    span = place(strange, "\x1b[31m\u202e\ud800 ]]>&<\"' + \t")
    far = strange.place(text.index("w") + 20_000, text.index("w") + 170_000)
    everything = strange.place(0, len(text))
    no_excerpt = dataclasses.replace(span, excerpt=None)
    elsewhere = dataclasses.replace(span, excerpt=Excerpt(900, ("x",)))
    backwards = dataclasses.replace(span, end_location=Location(1, 1))
    edits = (edit(strange, "b\n", "\x00\r\n\ud800"), strange.edit(3, 3, ""))
    fix = Fix(Applicability.SAFE, "\x1b\r\n::error::]]>", edits)
    message = "one\r\ntwo\x1b[0m \udc80 %0A ::error:: ]]> \uffff"
    places = (span, far, everything, no_excerpt, elsewhere, backwards)
    findings = [finding(each, message, fix=fix) for each in places]
    findings[0] = dataclasses.replace(findings[0], witness=message, related=((no_excerpt, message), (far, "")))
    return Report(findings, [Failure("", ""), Failure(".", message), Failure("(all files)", "\n\n")], num_files=1)


@every_reporter
def test_the_output_ends_with_a_line_ending_or_is_empty(name: str) -> None:
    for report in (full_report(), empty_report(), Report()):
        output = load_reporter(name).render(report, options())
        assert output == "" or (output.endswith("\n") and not output.endswith("\n\n"))


@every_reporter
def test_rendering_leaves_the_report_as_it_is(name: str) -> None:
    report, untouched = full_report(), full_report()
    load_reporter(name).render(report, options())
    assert report == untouched


@every_reporter
@pytest.mark.parametrize("width", [1, 80])
def test_nothing_in_a_report_can_break_the_output(name: str, width: int) -> None:
    output = load_reporter(name).render(hostile_report(), options(width=width))
    output.encode("utf-8")
    assert "\x1b" not in output or name == "github"
    if name in {"json", "sarif", "gitlab"}:
        json.loads(output)
    if name == "junit":
        ET.fromstring(output.encode())


@every_reporter
def test_an_empty_excerpt_is_no_problem(name: str) -> None:
    blank = script("empty.py", "")
    output = load_reporter(name).render(report_of(finding(blank.place(0, 0))), options())
    assert "empty.py" in output


@pytest.mark.parametrize("name", sorted(FOR_PROGRAMS))
def test_what_programs_read_is_ascii_so_that_no_terminal_encoding_can_spoil_it(name: str) -> None:
    assert load_reporter(name).render(full_report(), options()).isascii()


@pytest.mark.parametrize("name", sorted({*reporter_names()} - {"text", "concise"}))
def test_color_is_for_people_alone(name: str) -> None:
    render = load_reporter(name).render
    assert render(full_report(), options(color=True)) == render(full_report(), options(color=False))


@every_reporter
def test_a_reporter_loads_no_syntax_trees(name: str) -> None:
    code = (
        "import sys; from pipeline_lint.reporter import load_reporter; "
        f"load_reporter({name!r}); sys.exit('libcst' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_parts_that_reporters_share_are_no_output_format() -> None:
    assert reporter_names() == ["concise", "github", "gitlab", "json", "junit", "sarif", "text"]
