from __future__ import annotations

import re
from pathlib import Path

from pipeline_lint.diagnostic import Failure
from pipeline_lint.reporters import github
from tests.reporters.example_reports import empty_report, finding, full_report, options, place, report_of, script

Command = tuple[str, dict[str, str], str]


def understood(output: str) -> list[Command]:
    """The commands as a runner reads them: level, properties, message."""
    commands = []
    for line in output.splitlines():
        match = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
        assert match is not None, line
        pairs = (each.partition("=") for each in match[2].split(","))
        properties = {key: _decoded(value).replace("%3A", ":").replace("%2C", ",") for key, _, value in pairs}
        commands.append((match[1], properties, _decoded(match[3]).replace("%25", "%")))
    return commands


def _decoded(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n")


def test_nothing_found_is_nothing_said() -> None:
    assert github.render(empty_report(), options()) == ""


def test_a_finding_names_its_place(folder: Path) -> None:
    level, properties, message = understood(github.render(full_report(), options()))[0]
    assert level == "error"
    assert properties == {
        "title": "pipeline-lint TRN201 (log-of-sigmoid)",
        "file": str(folder / "models/verlust/größe 1.py"),
        "line": "5",
        "endLine": "5",
        "col": "22",
        "endColumn": "53",
    }
    assert "witness: ratio = -104.0" in message.splitlines()[1]


def test_the_level_follows_the_confidence() -> None:
    levels = [level for level, _, _ in understood(github.render(full_report(), options()))]
    assert levels == ["error", "warning", "error", "notice", "error", "error", "error", "error"]


def test_a_span_over_several_rows_has_no_columns() -> None:
    _, properties, _ = understood(github.render(full_report(), options()))[2]
    assert (properties["line"], properties["endLine"]) == ("11", "14")
    assert "col" not in properties


def test_a_finding_in_a_notebook_is_shown_at_its_top_and_names_the_cell() -> None:
    _, properties, message = understood(github.render(full_report(), options()))[4]
    assert properties["line"] == "1"
    assert message.startswith("notebooks/train.ipynb:cell 2:1:10: ")


def test_no_character_of_a_path_or_message_ends_the_command_early() -> None:
    found = finding(place(script("/a,b:c%\n::d.py", "bad\n"), "bad"), "100%0A\r\n::error::x, y: z")
    output = github.render(report_of(found, failures=[Failure("/e,f", "two\nrows: 1, 2")]), options())
    assert "file=/a%2Cb%3Ac%25%0A%3A%3Ad.py,line=1" in output
    assert output.splitlines()[0].endswith("TRN204 100%250A%0D%0A::error::x, y: z")
    assert len(output.splitlines()) == 2
    assert output.splitlines()[1] == "::error title=pipeline-lint failed,file=/e%2Cf::/e,f: two%0Arows: 1, 2"
