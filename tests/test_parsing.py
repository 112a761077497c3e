"""From text to a tree: all of Python's syntax, errors with a place, and sizes that would crash or hang a parser."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import libcst as cst
import pytest

from pipeline_lint.diagnostic import Location
from pipeline_lint.documents import open_document
from pipeline_lint.nesting import DEEPEST_BRACKETS, find_excess
from pipeline_lint.parsing import UnparsableSource, looks_compilable, parse, with_deep_stack
from pipeline_lint.source import Source

ROOT = Path(__file__).parents[1]


def source_of(code: str | bytes) -> Source:
    return parse(open_document("x.py", code if isinstance(code, bytes) else code.encode()))


def refusal(code: str | bytes) -> UnparsableSource:
    with pytest.raises(UnparsableSource) as error:
        source_of(code)
    return error.value


SYNTAX = {
    "3.8": "def f(a, /, b, *, c): return (n := len(a)) > 10 and f'{a=}'\n",
    "3.9": "@x[0].y(lambda: 1)\ndef f(): ...\nwith (open(a) as b, open(c) as d,): pass\n",
    "3.10": "match x:\n  case {'a': [1, *_], **rest} | K(y=2) if z: pass\n  case -1 | 2.0 as n: pass\n  case _: pass\n",
    "3.11": "try:\n    pass\nexcept* (A, B) as e:\n    pass\na[*b]\ndef f(*args: *Ts): pass\n",
    "3.12": "type X[T: int, *Ts, **P] = T\ndef f[T](a): ...\nclass C[T]: x = f'{a['b' + f'{1}']!r:>{w}} {\n 1 }'\n",
    "3.13": "def f[T = int](a: T): ...\ntype X[T = int] = T\n",
    "3.14": "x = t'{a!r:>{w}} {b}'\nx = rt\"{c}\"\ndef f(a: later.Name): ...\n",
}


@pytest.mark.parametrize("version", SYNTAX)
def test_syntax_of_every_version_is_parsed_by_every_version(version: str) -> None:
    source = source_of(SYNTAX[version])
    assert source.module.code == SYNTAX[version]
    for node in source.nodes(cst.Name):
        assert source.code(node) == node.value


@pytest.mark.parametrize(
    "code", ["", "\n", "# only a comment", "\r\n\r\n", "   ", "'''doc'''", b"\xef\xbb\xbf", "\x0c"]
)
def test_a_file_of_nothing_is_parsed(code: str | bytes) -> None:
    assert source_of(code).nodes(cst.Call) == []


@pytest.mark.parametrize(
    ("code", "reason", "location"),
    [
        ("x = 1\ny = = 2\n", "invalid syntax", Location(2, 5)),
        ("x = 1\r\ny = = 2\r\n", "invalid syntax", Location(2, 5)),
        ("x = 1\ry = = 2\r", "invalid syntax", Location(2, 5)),
        ("s = 'é😀'; y = = 2\n", "invalid syntax", Location(1, 15)),
        (b"\xef\xbb\xbfx = = 1\n", "invalid syntax", Location(1, 5)),
        ("x = (1,\n", "'(' was never closed", Location(1, 5)),
        ("x = 'a\n", "unterminated string literal (detected at line 1)", Location(1, 5)),
        ("if x:\ny = 1\n", "expected an indented block after 'if' statement on line 1", Location(2, 1)),
        ("if x:\n    y\n  z\n", "unindent does not match any outer indentation level", Location(3, 4)),
        ("x = 1\\", "unexpected EOF while parsing", Location(1, 7)),
        ("x = 1\n'\0'\n", "source code cannot contain null bytes", Location(2, 2)),
        ("print 'x'\n", "Missing parentheses in call to 'print'. Did you mean print(...)?", Location(1, 1)),
    ],
)
def test_an_error_is_named_with_its_place(code: str | bytes, reason: str, location: Location) -> None:
    error = refusal(code)
    assert error.location == location
    if sys.version_info[:2] == (3, 11):
        assert error.reason == reason


def test_half_a_character_is_named_with_its_place() -> None:
    error = refusal(b"# coding: raw_unicode_escape\nx = '\\ud800'\n")
    assert "lone surrogate" in error.reason
    assert error.location == Location(2, 6)


def test_python_that_libcst_does_not_understand_is_said_to_be_so() -> None:
    assert "Python, but not understood by LibCST" in refusal("if x:\n\\\n    y\n").reason


def test_an_error_lies_within_the_text() -> None:
    for code in ("(", "if x:", "x = '''\n", "def f(:\n", "@\n", "x = 1 +", "\tx\n y", "for"):
        error = refusal(code)
        document = open_document("x.py", code.encode())
        assert error.location.row <= len(document.line_starts)
        assert error.location.column <= len(document.line(error.location.row)) + 1


CHAINS: dict[str, Callable[[int], str]] = {
    "sum": lambda n: "x = " + " + ".join(["1"] * n),
    "sum of products": lambda n: "x = " + " + ".join(["a * b"] * n),
    "concatenation over lines": lambda n: "x = (\n" + " +\n".join(["'a) # \"'"] * n) + "\n)\n",
    "sum in a formatted string": lambda n: "x = f'''{" + "+".join(["1"] * n) + "}'''\n",
    "attributes": lambda n: "x = a" + ".b" * n,
    "calls": lambda n: "x = a" + ".b(1)" * n,
    "subscripts": lambda n: "x = a" + "[0]" * n,
    "not": lambda n: "x = " + "not " * n + "a",
    "minus": lambda n: "x = " + "-" * n + "a",
    "powers": lambda n: "x = " + " ** ".join(["a"] * n),
    "and": lambda n: "x = " + " and ".join(["a"] * n),
    "comparisons": lambda n: "x = " + " < ".join(["a"] * n),
    "strings": lambda n: "x = (" + "\n'a'" * n + ")",
    "lambdas": lambda n: "x = " + "lambda: " * n + "1",
    "lambdas with defaults": lambda n: "x = " + "lambda a, b=" * n + "1" + ": 1" * n,
    "conditions": lambda n: "x = " + "1 if a else " * n + "1",
    "loops of a comprehension": lambda n: "x = [a " + "for a in b " * n + "]",
    "elif": lambda n: "if a:\n    pass\n" + "elif b:\n    pass\n" * n,
    "else if": lambda n: (
        "".join(f"{' ' * i}if a:\n{' ' * i} pass\n{' ' * i}else:\n" for i in range(min(n, 300)))
        + " " * min(n, 300)
        + "pass"
    ),
    "patterns": lambda n: "match a:\n    case " + " | ".join(["1"] * n) + ": pass\n",
    "assignments": lambda n: "x = " * n + "1",
    "elements": lambda n: "x = [" + "1, " * n + "]",
    "decorators": lambda n: "@a\n" * n + "def f(): pass\n",
    "statements in a line": lambda n: "x; " * n,
    "imported names": lambda n: "import a" + ".b" * n,
}
NESTS: dict[str, Callable[[int], str]] = {
    "parentheses": lambda n: "x = " + "(" * n + "1" + ")" * n,
    "unclosed parentheses": lambda n: "x = " + "(" * n,
    "lists": lambda n: "x = " + "[" * n + "1" + "]" * n,
    "dicts": lambda n: "x = " + "{1: " * n + "1" + "}" * n,
    "arguments": lambda n: "x = " + "f(a=" * n + "1" + ")" * n,
    "subscripts": lambda n: "x = " + "a[" * n + "1" + "]" * n,
    "walrus": lambda n: "x = " + "(y := " * n + "1" + ")" * n,
    "lambda defaults": lambda n: "x = " + "lambda a=(" * n + "1" + "): 1" * n,
    "formatted strings": lambda n: "x = " + 'f"{' * n + "1" + '}"' * n,
    "format specifications": lambda n: 'x = f"' + "{a:" * n + "}" * n + '"',
    "list patterns": lambda n: "match a:\n    case " + "[" * n + "1" + "]" * n + ": pass\n",
    "mapping patterns": lambda n: "match a:\n    case " + "{1: " * n + "a" + "}" * n + ": pass\n",
    "class patterns": lambda n: "match a:\n    case " + "K(a=" * n + "1" + ")" * n + ": pass\n",
    "tuple patterns": lambda n: "match a:\n    case " + "(" * n + "a" + ", b)" * n + ": pass\n",
    "functions": lambda n: "".join(" " * i + "def f():\n" for i in range(n)) + " " * n + "pass\n",
}

CHILD = """
import json, sys, time
from pipeline_lint.documents import open_document
from pipeline_lint.parsing import UnparsableSource, parse, with_deep_stack
from tests.test_parsing import CHAINS, NESTS, outcome

shapes = {"chains": CHAINS, "nests": NESTS}[sys.argv[1]]
for name in shapes:
    for size in map(int, sys.argv[2:]):
        started = time.process_time()
        result = with_deep_stack(outcome, shapes[name](size))
        print(json.dumps([name, size, result, time.process_time() - started]), flush=True)
"""


def outcome(code: str) -> str:
    """What comes of the code: `parsed`, with places for its nodes, or why not."""
    try:
        source = source_of(code)
    except UnparsableSource as error:
        looks_compilable(code)
        return error.reason
    source.place(source.module)
    for kind in (cst.Name, cst.BinaryOperation, cst.Call, cst.If):
        for node in source.nodes(kind)[-2:]:
            source.place(node)
    return "parsed"


def outcomes(shapes: str, *sizes: int) -> dict[tuple[str, int], tuple[str, float]]:
    """Runs in a process of its own, which a parser's overflow would kill."""
    command = [sys.executable, "-c", CHILD, shapes, *map(str, sizes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr[-2000:]
    return {
        (name, size): (result, seconds) for name, size, result, seconds in map(json.loads, done.stdout.splitlines())
    }


def test_a_thousand_terms_are_parsed() -> None:
    results = {name: result for (name, _), (result, _) in outcomes("chains", 1000).items()}
    refused = {name for name, result in results.items() if result != "parsed"}
    # Of indentation Python itself takes a hundred levels.
    assert refused == {"else if", "lambdas with defaults"}


def test_tens_of_thousands_of_terms_end_in_an_answer_within_seconds() -> None:
    for (name, size), (result, seconds) in outcomes("chains", 30_000).items():
        assert result == "parsed" or "to be analyzed" in result or "indentation" in result, (name, size, result)
        assert seconds < 30, (name, size, seconds)


def test_nesting_of_any_depth_ends_in_an_answer_within_seconds() -> None:
    for (name, size), (result, seconds) in outcomes("nests", 9, 90, 199, 5000).items():
        answers = ("parsed", "nested", "to be analyzed", "indent", "never closed")
        assert any(answer in result for answer in answers), (
            name,
            size,
        )
        assert (result == "parsed") <= (size < DEEPEST_BRACKETS), (name, size)
        assert (result == "parsed") >= (size == 9 and name != "unclosed parentheses"), (name, size, result)
        assert seconds < 20, (name, size, seconds)


def test_what_is_too_large_is_named_with_its_row() -> None:
    error = refusal("y = 1\n\nx = " + "1 + " * 300_000 + "1\n")
    assert error.reason == "too large an expression to be analyzed"
    assert error.location.row == 3
    error = refusal("y = 1\nx = [\n" + "(" * 5000)
    assert error.reason == "too many nested parentheses"
    assert error.location == Location(3, 199)


def test_a_file_of_fifty_thousand_lines_is_parsed() -> None:
    source = with_deep_stack(source_of, "x = 1\n" * 49_999 + "y = 2\n")
    last = source.nodes(cst.SimpleStatementLine)[-1]
    assert source.place(last).location == Location(50_000, 1)


@pytest.mark.parametrize(
    "code",
    [
        "x = {\n"
        + "".join(f"    'key{i}': dict(a=[{i}, ({i} + 1) * 2, f(x).y[0]], b='(' + \"[\"),\n" for i in range(4000))
        + "}\n",
        "x = [" + "[" * 20 + "1, 2, (3 + 4) * 5, " * 5000 + "]" * 20 + "]\n",
        "x = '''" + "(" * 5000 + "+" * 5000 + "'''\n# " + "(" * 5000 + "\n",
        "def f():\n    '''" + "((. - + " * 3000 + "'''\n",
        "x = f'''" + "a.b - {{ ( + " * 3000 + "'''\n",
        "x = f'{a:{b}.{c}} \\\n  {d!r}'\n" * 2000,
        "if a:\n    pass\nelif b:\n    pass\n" * 4000,
        "x = a and b\n" * 4000,
        "match a:\n" + "    case K(a=[1, *b], c={'d': [e, (f, g)]}) if h(i(j(k(l(m(n(o(p(q(r))))))))))): pass\n" * 50,
        "f(" + "lambda a, b=1: a if a else -b, " * 3000 + ")\n",
        "x = (" + "'a' 'b' f'{c}', " * 3000 + ")\n",
        "case = [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n",
    ],
)
def test_large_files_that_people_have_are_not_refused(code: str) -> None:
    assert find_excess(code) is None


def test_a_fault_within_quotes_is_none() -> None:
    """What looks like code in a string is no code, wherever the search for large statements begins."""
    prose = "\n".join(["return to (the) start - and - go, " * 3] * 2000)
    assert find_excess(f"x = '''\n{prose}\n'''\n") is None
    assert find_excess(f'x = f"""\n{prose}\n"""\n') is None


def test_the_search_for_large_expressions_is_much_faster_than_parsing() -> None:
    code = Path(subprocess.__file__).read_text(encoding="utf-8")
    started = time.process_time()
    for _ in range(5):
        find_excess(code)
    searched = (time.process_time() - started) / 5
    started = time.process_time()
    source_of(code)
    assert searched < (time.process_time() - started) / 4


def test_a_deep_stack_gives_back_what_the_function_gives() -> None:
    assert with_deep_stack(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        with_deep_stack(divmod, 7, 0)


def test_a_deep_stack_leaves_the_limits_as_they_were() -> None:
    limit = sys.getrecursionlimit()

    def deep(depth: int) -> int:
        return depth and 1 + deep(depth - 1)

    assert with_deep_stack(deep, 50_000) == 50_000
    assert sys.getrecursionlimit() == limit
