"""The language server, spoken to as an editor speaks to it: a process of its own, JSON-RPC on its standard streams."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import pipeline_lint

pytest.importorskip("pygls", reason="the extra `server` is not installed")

from pipeline_lint.server.text import EditorText

_SECONDS = 60

_RULES = '''
import libcst as cst
from pipeline_lint.diagnostic import Confidence
from pipeline_lint.edits import replace, safe_fix, unsafe_fix
from pipeline_lint.rule import Finding, ProjectRule, Rule


def calls_of(source, name):
    return [call for call in source.nodes(cst.Call) if source.code(call.func) == name]


class OldCall(Rule):
    """A call of `old`.

    It is old.

    Bad:
        old()
    Good:
        new()
    Exempt: Nothing.
    Fix: Safe: calls `new`.
    Source: This test.
    """

    code = "LOC101"

    def check(self, source):
        for call in calls_of(source, "old"):
            fix = safe_fix("Call `new`", replace(source, call.func, "new"))
            yield Finding(call, "`old` is old; call `new`", witness="x = 0", fix=fix)


class RiskyCall(Rule):
    """A call of `risky`.

    It is risky.

    Bad:
        risky()
    Good:
        calm()
    Exempt: Nothing.
    Fix: Unsafe: calls `calm`.
    Source: This test.
    """

    code = "LOC102"

    def check(self, source):
        for call in calls_of(source, "risky"):
            fix = unsafe_fix("Call `calm`", replace(source, call.func, "calm"))
            print("a local rule that prints")
            yield Finding(call, "`risky` is risky; call `calm`", Confidence.LIKELY, fix=fix)


def summarize_pairs(source):
    """Definitions and calls of `pair`, with the edits that rename them."""
    found = []
    for definition in source.nodes(cst.FunctionDef):
        if definition.name.value == "pair":
            found.append(("definition", source.place(definition.name), replace(source, definition.name, "both")))
    for call in calls_of(source, "pair"):
        found.append(("call", source.place(call.func), replace(source, call.func, "both")))
    return found


class PairName(ProjectRule):
    """A function called `pair`.

    Its callers must change with it.

    Bad:
        def pair(): ...
    Good:
        def both(): ...
    Exempt: Nothing.
    Fix: Safe: renames it and its calls in all files.
    Source: This test.
    """

    code = "LOC103"
    summaries = (summarize_pairs,)

    def check_project(self, project):
        found = [item for path in project.paths for item in project.summary(summarize_pairs, path)]
        for folder in sorted({place.path.rpartition("/")[0] for _, place, _ in found}):
            other = f"{folder}/closed.py"
            if other not in project.paths:
                found += project.summary(summarize_pairs, other) or []
        for kind, place, _ in found:
            if kind == "definition":
                related = tuple((at, "called here") for kind, at, _ in found if kind == "call")
                fix = safe_fix("Rename to `both`", *(edit for _, _, edit in found))
                yield Finding(place, "`pair` is no name; write `both`", fix=fix, related=related)
'''

_CONFIG = '[tool.pipeline-lint]\nselect = ["ALL"]\nlocal-rules = ["rules"]\n'
_FULL_CLIENT: dict[str, Any] = {
    "workspace": {
        "workspaceEdit": {"documentChanges": True},
        "didChangeWatchedFiles": {"dynamicRegistration": True},
    },
    "textDocument": {
        "hover": {"contentFormat": ["markdown", "plaintext"]},
        "codeAction": {"dataSupport": True, "resolveSupport": {"properties": ["edit"]}},
    },
}


class Editor:
    """A client that keeps every message it gets."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.messages: list[dict[str, Any]] = []
        self._incoming: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline_lint", "server"],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(Path(pipeline_lint.__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._input = self._process.stdin
        self._streams = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._log: list[bytes] = []
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._read_log)]
        for thread in self._threads:
            thread.start()
        self._open: list[str] = []
        self._num_requests = 0
        self.server: dict[str, Any] = {}

    def begin(self, capabilities: dict[str, Any]) -> None:
        """Shakes hands."""
        params = {"processId": None, "rootUri": self.root.as_uri(), "capabilities": capabilities}
        self.server = self.request("initialize", params)
        self.notify("initialized", {})

    def uri(self, name: str) -> str:
        return (self.root / name).as_uri()

    def open(self, name: str, text: str, version: int = 1) -> list[dict[str, Any]]:
        """Opens a document and gives the findings shown for it."""
        self.open_uri(self.uri(name), text, version)
        return self.shown(name, version)

    def open_uri(self, uri: str, text: str, version: int = 1, language: str = "python") -> None:
        self._open.append(uri)
        document = {"uri": uri, "languageId": language, "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def change(self, name: str, text: str, version: int) -> None:
        document = {"uri": self.uri(name), "version": version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})

    def shown(self, name: str, version: int) -> list[dict[str, Any]]:
        """The findings that are shown next for a version of a document."""
        found: list[dict[str, Any]] = self.next(
            lambda message: (
                message.get("method") == "textDocument/publishDiagnostics"
                and message["params"]["uri"] == self.uri(name)
                and message["params"].get("version") == version
            )
        )["params"]["diagnostics"]
        return found

    def actions(self, name: str, at: dict[str, Any], **context: Any) -> dict[str, dict[str, Any]]:
        """The actions for a range, by title."""
        params = {"textDocument": {"uri": self.uri(name)}, "range": at, "context": {"diagnostics": [], **context}}
        return {action["title"]: action for action in self.request("textDocument/codeAction", params)}

    def resolve(self, action: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = self.request("codeAction/resolve", action)
        return result

    def hover(self, name: str, line: int, character: int) -> Any:
        position = {"line": line, "character": character}
        return self.request("textDocument/hover", {"textDocument": {"uri": self.uri(name)}, "position": position})

    def notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def request(self, method: str, params: Any) -> Any:
        identity = self.ask(method, params)
        answer = self.next(lambda message: message.get("id") == identity and "method" not in message)
        assert "error" not in answer, answer
        return answer["result"]

    def ask(self, method: str, params: Any) -> int:
        """Sends a request without waiting for its answer."""
        self._num_requests += 1
        self._send({"id": self._num_requests, "method": method, "params": params})
        return self._num_requests

    def next(self, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next message that matches; the ones before it are kept in `messages`."""
        while True:
            try:
                message = self._incoming.get(timeout=_SECONDS)
            except queue.Empty:
                message = None
            assert message is not None, f"the server said nothing more; its log:\n{self.log}"
            self.messages.append(message)
            if "id" in message and "method" in message:
                self._send({"id": message["id"], "result": None})
            if matches(message):
                return message

    @property
    def log(self) -> str:
        return b"".join(self._log).decode()

    def told(self) -> list[str]:
        """The messages shown to the user so far."""
        return [m["params"]["message"] for m in self.messages if m.get("method") == "window/showMessage"]

    def close(self) -> int:
        """Ends the server as an editor does, and gives its exit code."""
        if self.is_alive:
            self.request("shutdown", None)
            self.notify("exit", None)
        return self._process.wait(_SECONDS)

    def close_all(self) -> None:
        """Closes all documents and forgets all messages."""
        for uri in self._open:
            self.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        self._open.clear()
        self.hover("none.py", 0, 0)
        self.messages.clear()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def hang_up(self) -> int:
        """Closes the connection as an editor that crashes does."""
        self._input.close()
        return self._process.wait(_SECONDS)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(_SECONDS)
        for thread in self._threads:
            thread.join(_SECONDS)
        for stream in self._streams:
            stream.close()

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._input.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._input.flush()

    def _read(self) -> None:
        stream = self._streams[1]
        while header := stream.readline():
            length = 0
            while header.strip():
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
                header = stream.readline()
            self._incoming.put(json.loads(stream.read(length)))
        self._incoming.put(None)

    def _read_log(self) -> None:
        for line in self._streams[2]:
            self._log.append(line)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(_CONFIG)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "local.py").write_text(_RULES)
    return tmp_path


@pytest.fixture
def connect(root: Path) -> Iterator[Callable[..., Editor]]:
    """Starts editors with servers of their own."""
    editors = []

    def start(capabilities: dict[str, Any] | None = None) -> Editor:
        editors.append(Editor(root))
        editors[-1].begin(_FULL_CLIENT if capabilities is None else capabilities)
        return editors[-1]

    yield start
    for editor in editors:
        editor.kill()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Editor]]:
    """The editor that the tests share, because a server takes a second to start."""
    editors: list[Editor] = []
    yield editors
    for editor in editors:
        editor.kill()


@pytest.fixture
def editor(root: Path, running: list[Editor], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """An editor with nothing open, looking at a folder of its own."""
    if not running or not running[-1].is_alive:
        running.append(Editor(tmp_path_factory.mktemp("workspace")))
        running[-1].begin(_FULL_CLIENT)
    editor = running[-1]
    editor.root = root
    yield editor
    if editor.is_alive:
        editor.close_all()


def _range(line: int, start: int, end: int, last_line: int | None = None) -> dict[str, Any]:
    last = line if last_line is None else last_line
    return {"start": {"line": line, "character": start}, "end": {"line": last, "character": end}}


def _applied(text: str, edits: list[dict[str, Any]]) -> str:
    """A text with edits applied as an editor does that counts UTF-16 code units; refuses places that do not exist."""
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]*\Z", text)

    def offset(position: dict[str, int]) -> int:
        line = lines[position["line"]].rstrip("\r\n").encode("utf-16-le")
        assert position["character"] <= len(line) // 2
        before = line[: 2 * position["character"]].decode("utf-16-le")
        return sum(map(len, lines[: position["line"]])) + len(before)

    spans = sorted((offset(e["range"]["start"]), offset(e["range"]["end"]), e["newText"]) for e in edits)
    pieces, done = [], 0
    for start, end, new in spans:
        assert done <= start <= end
        pieces += [text[done:start], new]
        done = end
    return "".join([*pieces, text[done:]])


def test_opening_a_document_shows_the_findings_of_its_text(editor: Editor) -> None:
    (editor.root / "train.py").write_text("pass\n")
    [finding] = editor.open("train.py", "x = 1\ny = old(x)\n")
    assert finding == {
        "range": _range(1, 4, 10),
        "severity": 2,
        "code": "LOC101",
        "source": "pipeline-lint",
        "message": "`old` is old; call `new`\nwitness: x = 0",
    }


def test_a_document_that_was_never_saved_is_checked(connect: Callable[..., Editor]) -> None:
    editor = connect()
    assert [finding["code"] for finding in editor.open("new.py", "old()\n")] == ["LOC101"]
    uri = "untitled:Untitled-1"
    editor.open_uri(uri, "old()\n")
    shown = editor.next(lambda m: m.get("params", {}).get("uri") == uri)["params"]
    assert [finding["code"] for finding in shown["diagnostics"]] == ["LOC101"]


def test_findings_that_are_less_than_certain_are_information(editor: Editor) -> None:
    [finding] = editor.open("train.py", "risky()\n")
    assert (finding["code"], finding["severity"]) == ("LOC102", 3)


def test_a_change_is_checked_without_being_saved(editor: Editor) -> None:
    editor.open("train.py", "old()\n")
    editor.change("train.py", "\n\nold()\n", 2)
    [finding] = editor.shown("train.py", 2)
    assert finding["range"] == _range(2, 0, 5)


def test_fast_typing_is_checked_when_it_rests(editor: Editor) -> None:
    editor.open("train.py", "")
    for version in range(2, 42):
        editor.change("train.py", "old()\n" * version, version)
    assert len(editor.shown("train.py", 41)) == 41
    published = [m for m in editor.messages if m.get("method") == "textDocument/publishDiagnostics"]
    assert len(published) < 20


def test_results_for_an_older_text_are_never_shown_after_a_newer_one(connect: Callable[..., Editor]) -> None:
    editor = connect()
    editor.open("train.py", "old()\n")
    for version in range(2, 8):
        editor.change("train.py", "old()\n" * 100 * version, version)
        # Asking for actions has each text checked, so there is a result for each, and most are outdated by then.
        params = {"textDocument": {"uri": editor.uri("train.py")}, "range": _range(0, 0, 0)}
        editor.ask("textDocument/codeAction", {**params, "context": {"diagnostics": []}})
    assert len(editor.shown("train.py", 7)) == 700
    editor.close()
    shown = [m["params"] for m in editor.messages if m.get("method") == "textDocument/publishDiagnostics"]
    assert [each["version"] for each in shown] == sorted(each["version"] for each in shown)
    assert all(len(each["diagnostics"]) == 100 * each["version"] for each in shown[1:])


def test_closing_a_document_clears_its_findings(editor: Editor) -> None:
    editor.open("train.py", "old()\n")
    editor.notify("textDocument/didClose", {"textDocument": {"uri": editor.uri("train.py")}})
    cleared = editor.next(lambda m: m.get("method") == "textDocument/publishDiagnostics")["params"]
    assert cleared == {"uri": editor.uri("train.py"), "diagnostics": []}


@pytest.mark.parametrize(
    ("encodings", "agreed", "column"),
    [(None, "utf-16", 6), (["utf-8", "utf-16"], "utf-8", 8), (["utf-32"], "utf-32", 5), (["utf-7"], "utf-16", 6)],
)
def test_positions_count_in_the_units_that_were_agreed_on(
    connect: Callable[..., Editor], encodings: list[str] | None, agreed: str, column: int
) -> None:
    editor = connect({"general": {"positionEncodings": encodings}} if encodings else {})
    assert editor.server["capabilities"]["positionEncoding"] == agreed
    [finding] = editor.open("train.py", '"""🔥"""\n\n"🔥"; old()\n')
    assert finding["range"] == _range(2, column, column + 5)


def test_a_byte_order_mark_counts_where_the_editor_sends_it(editor: Editor) -> None:
    [finding] = editor.open("train.py", "\ufeffold()\n")
    assert finding["range"] == _range(0, 1, 6)
    fix = editor.resolve(editor.actions("train.py", finding["range"])["LOC101: Call `new`"])
    assert fix["edit"]["documentChanges"][0]["edits"] == [{"range": _range(0, 1, 4), "newText": "new"}]


def test_form_feeds_do_not_end_lines(editor: Editor) -> None:
    text = "x = 1\n\x0c\ny = '\u2028\x85\x1c'\nold()\n"
    [finding] = editor.open("train.py", text)
    assert finding["range"] == _range(3, 0, 5)
    editor.change("train.py", "\x0c" + text, 2)
    [finding] = editor.shown("train.py", 2)
    assert finding["range"] == _range(3, 0, 5)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_fix_changes_nothing_but_what_it_must(editor: Editor, newline: str) -> None:
    text = newline.join(["x = 1", "y = old(x)  # keep", "z = 2", ""])
    [finding] = editor.open("train.py", text)
    action = editor.actions("train.py", finding["range"])["LOC101: Call `new`"]
    assert "edit" not in action
    assert (action["kind"], action["isPreferred"], action["diagnostics"]) == ("quickfix", True, [finding])
    assert editor.resolve(action)["edit"] == {
        "documentChanges": [
            {
                "textDocument": {"uri": editor.uri("train.py"), "version": 1},
                "edits": [{"range": _range(1, 4, 7), "newText": "new"}],
            }
        ]
    }


def test_an_editor_that_cannot_ask_again_gets_edits_at_once(connect: Callable[..., Editor]) -> None:
    editor = connect({})
    [finding] = editor.open("train.py", "old()\n")
    actions = editor.actions("train.py", finding["range"])
    expected = {"changes": {editor.uri("train.py"): [{"range": _range(0, 0, 3), "newText": "new"}]}}
    assert actions["LOC101: Call `new`"]["edit"] == expected
    assert actions["pipeline-lint: apply all safe fixes"]["edit"] == expected


def test_an_unsafe_fix_says_so_and_is_not_preferred(editor: Editor) -> None:
    [finding] = editor.open("train.py", "risky()\n")
    action = editor.actions("train.py", finding["range"])["LOC102: Call `calm` (unsafe)"]
    assert action["isPreferred"] is False
    [change] = editor.resolve(action)["edit"]["documentChanges"]
    assert _applied("risky()\n", change["edits"]) == "calm()\n"


def test_the_fix_of_an_outdated_text_gets_no_edit(editor: Editor) -> None:
    [finding] = editor.open("train.py", "old()\n")
    action = editor.actions("train.py", finding["range"])["LOC101: Call `new`"]
    editor.change("train.py", "\nold()\n", 2)
    assert "edit" not in editor.resolve(action)


def test_all_safe_fixes_are_applied_at_once_and_the_unsafe_ones_are_not(editor: Editor) -> None:
    text = "old()\nrisky()\nx = old(old())\n" + "pass\n" * 20 + "old()"
    editor.open("train.py", text)
    actions = editor.actions("train.py", _range(0, 0, 0), only=["source.fixAll"])
    assert list(actions) == ["pipeline-lint: apply all safe fixes"]
    [action] = actions.values()
    assert action["kind"] == "source.fixAll.pipeline-lint"
    [change] = editor.resolve(action)["edit"]["documentChanges"]
    assert _applied(text, change["edits"]) == text.replace("old", "new")
    assert len(change["edits"]) == 3


def test_fixing_all_works_on_the_text_as_it_is_now(editor: Editor) -> None:
    editor.open("train.py", "pass\n")
    editor.change("train.py", "old()\n", 2)
    [action] = editor.actions("train.py", _range(0, 0, 0), only=["source.fixAll.pipeline-lint"]).values()
    [change] = editor.resolve(action)["edit"]["documentChanges"]
    assert change["textDocument"]["version"] == 2
    assert _applied("old()\n", change["edits"]) == "new()\n"


def test_fixing_all_is_not_offered_where_nothing_is_safe_to_fix(editor: Editor) -> None:
    editor.open("train.py", "risky()\n")
    assert editor.actions("train.py", _range(0, 0, 0), only=["source"]) == {}


def test_only_the_kinds_of_action_that_are_asked_for_are_given(editor: Editor) -> None:
    [finding] = editor.open("train.py", "old()\n")
    assert editor.actions("train.py", finding["range"], only=["refactor", "source.organizeImports"]) == {}
    titles = list(editor.actions("train.py", finding["range"], only=["quickfix"]))
    assert titles == ["LOC101: Call `new`", "Disable LOC101 for this line"]


def test_a_finding_that_the_editor_names_has_its_actions_wherever_the_cursor_is(editor: Editor) -> None:
    [finding] = editor.open("train.py", "x = 1;   y = old()\n")
    assert editor.actions("train.py", _range(0, 0, 0), only=["quickfix"]) == {}
    assert editor.actions("train.py", _range(0, 0, 0), only=["quickfix"], diagnostics=[finding])


def test_disabling_a_rule_on_a_line_silences_its_finding(editor: Editor) -> None:
    text = "x = old(  # noqa: E501\n    1,\n)\n"
    [finding] = editor.open("train.py", text)
    action = editor.actions("train.py", finding["range"])["Disable LOC101 for this line"]
    [change] = action["edit"]["documentChanges"]
    changed = _applied(text, change["edits"])
    assert changed == "x = old(  # noqa: E501, LOC101\n    1,\n)\n"
    editor.change("train.py", changed, 2)
    assert editor.shown("train.py", 2) == []


def test_a_fix_across_files_changes_open_and_closed_ones_together(editor: Editor) -> None:
    (editor.root / "closed.py").write_text('"""ä"""\npair()\npair()\n', encoding="utf-8")
    (editor.root / "open.py").write_text("this text is not what the editor has")
    assert editor.open("open.py", "x = 1\npair()\n", version=7) == []
    [finding] = editor.open("lib.py", "def pair():\n    pass\n", version=3)
    places = [(entry["location"]["uri"], entry["location"]["range"]) for entry in finding["relatedInformation"]]
    assert sorted(places, key=str) == [
        (editor.uri("closed.py"), _range(1, 0, 4)),
        (editor.uri("closed.py"), _range(2, 0, 4)),
        (editor.uri("open.py"), _range(1, 0, 4)),
    ]
    action = editor.actions("lib.py", finding["range"])["LOC103: Rename to `both`"]
    changes = {c["textDocument"]["uri"]: c for c in editor.resolve(action)["edit"]["documentChanges"]}
    versions = {uri: change["textDocument"]["version"] for uri, change in changes.items()}
    assert versions == {editor.uri("lib.py"): 3, editor.uri("open.py"): 7, editor.uri("closed.py"): None}
    texts = {
        "lib.py": "def pair():\n    pass\n",
        "open.py": "x = 1\npair()\n",
        "closed.py": '"""ä"""\npair()\npair()\n',
    }
    for name, text in texts.items():
        assert _applied(text, changes[editor.uri(name)]["edits"]) == text.replace("pair", "both")
    [fix_all] = editor.actions("lib.py", _range(0, 0, 0), only=["source.fixAll"]).values()
    again = {c["textDocument"]["uri"]: c for c in editor.resolve(fix_all)["edit"]["documentChanges"]}
    assert again == changes


def test_a_change_of_one_document_shows_in_another(editor: Editor) -> None:
    assert editor.open("lib.py", "def pair():\n    pass\n")[0].get("relatedInformation") is None
    editor.open_uri(editor.uri("closed.py"), "pair()\n")
    assert len(editor.shown("lib.py", 1)[0]["relatedInformation"]) == 1


def test_hovering_over_a_finding_shows_its_rule(editor: Editor) -> None:
    editor.open("train.py", "x = old()\n")
    answer = editor.hover("train.py", 0, 5)
    assert answer["range"] == _range(0, 4, 9)
    assert answer["contents"]["kind"] == "markdown"
    assert answer["contents"]["value"].startswith("# old-call (LOC101)\n")
    assert "```python\nnew()\n```" in answer["contents"]["value"]
    assert editor.hover("train.py", 0, 1) is None


@pytest.mark.parametrize("comment", ["# noqa: LOC101", "# pipeline-lint: ignore[old-call] 🔥"])
def test_hovering_over_a_rule_in_a_suppression_shows_it(editor: Editor, comment: str) -> None:
    text = f'"🔥"; old()  {comment}\n'
    assert editor.open("train.py", text) == []
    character = max(text.find("LOC101"), text.find("old-call")) + 1
    assert editor.hover("train.py", 0, character)["contents"]["value"].startswith("# old-call (LOC101)\n")
    assert editor.hover("train.py", 0, 4) is None


def test_an_editor_without_markdown_gets_plain_pages(connect: Callable[..., Editor]) -> None:
    editor = connect({"textDocument": {"hover": {"contentFormat": ["plaintext"]}}})
    editor.open("train.py", "old()\n")
    contents = editor.hover("train.py", 0, 0)["contents"]
    assert contents["kind"] == "plaintext"
    assert "```" not in contents["value"]


def test_excluded_files_show_no_findings(editor: Editor) -> None:
    (editor.root / "pyproject.toml").write_text(_CONFIG + 'exclude = ["skipped"]\n')
    for name in ("skipped/train.py", ".venv/lib/train.py"):
        (editor.root / name).parent.mkdir(parents=True)
        (editor.root / name).write_text("old()\n")
        assert editor.open(name, "old()\n") == []


def test_without_a_configuration_the_default_rules_check_every_folder(editor: Editor) -> None:
    (editor.root / "pyproject.toml").unlink()
    text = "import torch\n\n\ndef loss(x):\n    return torch.log(torch.sigmoid(x))\n"
    for name in ("build/train.py", "lib/site-packages/net.py"):
        (editor.root / name).parent.mkdir(parents=True)
        (editor.root / name).write_text(text)
    assert [finding["code"] for finding in editor.open("build/train.py", text)] == ["TRN201"]
    assert editor.open("lib/site-packages/net.py", text) == []


def test_the_nearest_configuration_counts(editor: Editor) -> None:
    (editor.root / "inner").mkdir()
    (editor.root / "inner" / "pipeline-lint.toml").write_text('select = ["LOC102"]\nlocal-rules = ["../rules"]\n')
    text = "old()\nrisky()\n"
    assert {finding["code"] for finding in editor.open("train.py", text)} == {"LOC101", "LOC102"}
    assert [finding["code"] for finding in editor.open("inner/train.py", text)] == ["LOC102"]


def test_a_rule_that_is_unfixable_offers_no_fix(editor: Editor) -> None:
    (editor.root / "pyproject.toml").write_text(_CONFIG + 'unfixable = ["LOC101"]\n')
    [finding] = editor.open("train.py", "old()\n")
    assert list(editor.actions("train.py", finding["range"])) == ["Disable LOC101 for this line"]


@pytest.mark.parametrize("event", ["watched", "saved"])
def test_a_changed_configuration_counts_at_once(editor: Editor, event: str) -> None:
    assert editor.open("train.py", "old()\n") != []
    config = editor.root / "pyproject.toml"
    config.write_text(_CONFIG + 'ignore = ["LOC101"]\n')
    if event == "watched":
        changed = [{"uri": config.as_uri(), "type": 2}]
        editor.notify("workspace/didChangeWatchedFiles", {"changes": changed})
    else:
        editor.notify("textDocument/didSave", {"textDocument": {"uri": config.as_uri()}})
    assert editor.shown("train.py", 1) == []


def test_the_editor_is_asked_to_watch_configurations(connect: Callable[..., Editor]) -> None:
    editor = connect()
    asked = editor.next(lambda m: m.get("method") == "client/registerCapability")["params"]["registrations"]
    patterns = [watcher["globPattern"] for watcher in asked[0]["registerOptions"]["watchers"]]
    assert "pyproject.toml" in patterns[0]


def test_a_broken_configuration_is_told_once_and_its_repair_counts(editor: Editor) -> None:
    config = editor.root / "pyproject.toml"
    config.write_text(_CONFIG + 'selct = ["LOC101"]\n')
    assert editor.open("train.py", "old()\n") == []
    editor.change("train.py", "old( )\n", 2)
    assert editor.shown("train.py", 2) == []
    [message] = editor.told()
    assert message == f"{config}: unknown key `tool.pipeline-lint.selct`; did you mean `select`?"
    config.write_text(_CONFIG)
    editor.notify("textDocument/didSave", {"textDocument": {"uri": config.as_uri()}})
    assert len(editor.shown("train.py", 2)) == 1
    assert len(editor.told()) == 1


def test_a_broken_configuration_stops_only_its_own_files(editor: Editor) -> None:
    (editor.root / "inner").mkdir()
    (editor.root / "inner" / "pipeline-lint.toml").write_text("select = [\n")
    assert editor.open("inner/train.py", "old()\n") == []
    assert len(editor.open("train.py", "old()\n")) == 1


def test_a_rule_that_fails_is_told_once_and_the_others_go_on(editor: Editor) -> None:
    broken = "\nclass Broken(Rule):\n    code = 'LOC104'\n    def check(self, source):\n        raise KeyError('x')\n"
    (editor.root / "rules" / "local.py").write_text(_RULES + broken)
    assert [finding["code"] for finding in editor.open("train.py", "old()\n")] == ["LOC101"]
    editor.change("train.py", "old( )\n", 2)
    editor.shown("train.py", 2)
    [message] = editor.told()
    assert "rule LOC104 (broken) failed" in message


def test_code_that_does_not_parse_is_an_error_at_its_place(editor: Editor) -> None:
    [finding] = editor.open("train.py", "old()\ndef f(:\n    pass\n")
    assert (finding["code"], finding["severity"], finding["range"]["start"]["line"]) == ("TRN901", 1, 1)
    assert editor.actions("train.py", finding["range"]) == {}


def test_deep_nesting_does_not_end_the_server(editor: Editor) -> None:
    text = "x = " + "(" * 150 + "1" + ")" * 150 + "\n" + "y = " + " + ".join(["1"] * 1500) + "\nold()\n"
    assert [finding["code"] for finding in editor.open("deep.py", text)] == ["LOC101"]
    [finding] = editor.open("deeper.py", "x = " + "(" * 5000 + ")" * 5000 + "\n")
    assert finding["code"] == "TRN901"


def test_text_in_a_declared_encoding_is_read_in_it(editor: Editor) -> None:
    [finding] = editor.open("train.py", "# -*- coding: latin-1 -*-\nx = 'äöü'; old()\n")
    assert finding["range"] == _range(1, 11, 16)
    [finding] = editor.open("other.py", "# -*- coding: ascii -*-\nx = 'äöü'; old()\n")
    assert finding["code"] == "TRN901"


def test_text_that_no_file_can_hold_is_an_error(editor: Editor) -> None:
    [finding] = editor.open("train.py", "x = 1\ny = '\ud800'; old()\n")
    assert (finding["code"], finding["range"]["start"]) == ("TRN901", {"line": 1, "character": 5})
    [finding] = editor.open("nul.py", "x = 1\n\0\n")
    assert (finding["code"], finding["range"]["start"]["line"]) == ("TRN901", 1)


def test_an_idle_suppression_is_faded(editor: Editor) -> None:
    [finding] = editor.open("train.py", "x = 1  # noqa: LOC101\n")
    assert (finding["code"], finding["tags"]) == ("TRN902", [1])
    action = editor.actions("train.py", finding["range"])["TRN902: Remove the suppression"]
    [change] = editor.resolve(action)["edit"]["documentChanges"]
    assert _applied("x = 1  # noqa: LOC101\n", change["edits"]) == "x = 1\n"


@pytest.mark.parametrize(
    ("uri", "language"),
    [("file:///notes.md", "markdown"), ("file:///a.ipynb", "json"), ("git:/train.py?HEAD", "python")],
)
def test_what_is_no_python_file_is_left_alone(editor: Editor, uri: str, language: str) -> None:
    editor.open_uri(uri, "old(\n", language=language)
    change = {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [{"text": "old((\n"}]}
    editor.notify("textDocument/didChange", change)
    params = {"textDocument": {"uri": uri}, "range": _range(0, 0, 0), "context": {"diagnostics": []}}
    assert editor.request("textDocument/codeAction", params) == []
    assert len(editor.open("train.py", "old()\n")) == 1
    published = [m["params"]["uri"] for m in editor.messages if m.get("method") == "textDocument/publishDiagnostics"]
    assert uri not in published


def test_nothing_but_messages_is_written_to_the_editor(connect: Callable[..., Editor]) -> None:
    editor = connect()
    assert len(editor.open("train.py", "risky()\n")) == 1
    editor.close()
    editor.kill()
    assert "a local rule that prints" in editor.log


def test_the_server_ends_when_it_is_asked_to(connect: Callable[..., Editor]) -> None:
    editor = connect()
    editor.open("train.py", "old()\n")
    assert editor.close() == 0


def test_the_server_ends_when_the_editor_is_gone(connect: Callable[..., Editor]) -> None:
    editor = connect()
    editor.open("train.py", "old()\n")
    assert editor.hang_up() == 0


def test_checking_writes_nothing(connect: Callable[..., Editor]) -> None:
    editor = connect()
    before = sorted(editor.root.rglob("*"))
    editor.open("train.py", "old()\n")
    [action] = editor.actions("train.py", _range(0, 0, 0), only=["source.fixAll"]).values()
    editor.resolve(action)
    editor.close()
    assert sorted(path for path in editor.root.rglob("*") if "__pycache__" not in path.parts) == before


_TEXTS = st.lists(st.sampled_from(["a", "b", "🔥", "ä", " ", "\x0c", "\n", "\n", "\r\n", "\r"]), max_size=30).map(
    "".join
)


@given(before=_TEXTS, after=_TEXTS)
@example(before="a\r\n", after="a\rb\n")
@example(before="a\r", after="a\r\n")
@example(before="🔥", after="🔥🔥")
def test_edits_turn_one_text_into_another(before: str, after: str) -> None:
    edits = EditorText(before, "utf-16").edits_to(after)
    as_json = [
        {
            "range": {
                "start": {"line": edit.range.start.line, "character": edit.range.start.character},
                "end": {"line": edit.range.end.line, "character": edit.range.end.character},
            },
            "newText": edit.new_text,
        }
        for edit in edits
    ]
    assert _applied(before, as_json) == after
