"""Which expressions are too large to be parsed: found in a twentieth of the time that parsing takes.

LibCST's parser copies what it has read of an expression at each operator that goes on with it, so its time and memory
grow with the square of a chain such as `1 + 1 + ...`, and fourfold with each bracket in the patterns of `case`. Thirty
thousand terms never finish, and brackets nested as deep end the process. The scan estimates that work for each
statement. It goes in two steps: the text is cut at words that only begin statements, and only pieces that are long, or
hold many brackets, are read token by token.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

DEEPEST_BRACKETS = 200
"""Brackets in brackets; the same as CPython's own limit."""
LONGEST_CHAIN = 3000
"""Operands of `and`, strings side by side, loops of a comprehension, `elif` branches: they nest in the tree."""
_MOST_WORK = 5_000_000
"""Copied tokens: about two seconds, and less than a gigabyte."""
_WORK_A_TOKEN = 200
"""What a token may cost without being counted, so that the size alone of a table of numbers is no fault."""

_HARMLESS_CHARACTERS = 3000
_HARMLESS_BRACKETS = 150

_STRINGS = r"""
    \"{3}[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*(?:\"{3}|\Z)
    | '{3}[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*(?:'{3}|\Z)
    | "[^"\\\n\r]*(?:\\.[^"\\\n\r]*)*"?
    | '[^'\\\n\r]*(?:\\.[^'\\\n\r]*)*'?
"""
_STATEMENTS = (
    "assert break class continue def del elif except finally global import nonlocal pass raise return try while"
)
_BORDER = re.compile(
    rf"\#[^\n\r]*|{_STRINGS}|[\n\r][ \t\f]*(?:(?P<word>{'|'.join(_STATEMENTS.split())})|(?P<case>case))\b",
    re.VERBOSE | re.DOTALL,
)
_TOKEN = re.compile(
    rf"""
    (?P<space>(?:[ \t\f]|\\\r?\n|\\\r|\#[^\n\r]*)+)
    | (?P<format>(?:[fFtT][rR]?|[rR][fFtT])(?:\"{{3}}|'{{3}}|"|'))
    | (?P<operand>(?:[bBuU]|[bB]?[rR]|[rR][bB])?(?:{_STRINGS}))
    | (?P<word>[^\W\d]\w*)
    | (?P<number>\.?\d[\w.]*)
    | (?P<newline>\r\n|\n|\r)
    | (?P<open>[(\[{{])
    | (?P<close>[)\]}}])
    | (?P<comparison>[<>=!]=|[<>](?![<>])|!)
    | (?P<end>:=|->|(?:\*\*|//|>>|<<|[-+*/%@&|^])?=|[,;:])
    | (?P<operator>\*\*|//|>>|<<|[-+*/%@&|^~.])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_FORMAT = re.compile(r"\\(?:\r\n|[^{}])|\{\{|\}\}|(?P<mark>[{}\"'\n\r])", re.DOTALL)
_KEYWORDS = frozenset(keyword.kwlist) - {"True", "False", "None"}
_LEVELS = {"|": 0, "^": 1, "&": 2, "<<": 3, ">>": 3, "+": 4, "-": 4, "*": 5, "/": 5, "//": 5, "%": 5, "@": 5}
_TRAILER = 6
"""How tightly `.name`, `[index]` and `(arguments)` bind: tighter than every operator between two operands."""

_COPIES = {"[": 3}
"""How often an operand is copied that goes on with this bracket."""


@dataclass(frozen=True, slots=True)
class Excess:
    """What is too large, and at which character it becomes so."""

    offset: int
    reason: str


def find_excess(text: str) -> Excess | None:
    """The first statement that is too large to be parsed; None where all are of a size that people write."""
    for start, end in _suspicious_pieces(text):
        if _Weighing(text, start, end).run() is not None:
            # A piece can begin within a string that only a scan from the start understands.
            return _Weighing(text, 0, len(text)).run()
    return None


def _suspicious_pieces(text: str) -> list[tuple[int, int]]:
    """Stretches from one certain beginning of a statement to another that are long or have many brackets."""
    pieces: list[tuple[int, int]] = []
    start = num_quiet = num_elif = 0
    has_case = False
    for match in _BORDER.finditer(text):
        kind = match.lastgroup
        if kind == "word":
            _collect(pieces, text, start, match.start(), num_quiet=num_quiet, has_case=has_case)
            start, num_quiet, has_case = match.start(), 0, False
            num_elif += match["word"] == "elif"
        elif kind == "case":
            has_case = True
        elif match.end() - match.start() > 200 and text[match.start() - 1 : match.start()] not in tuple("fFtTrR"):
            num_quiet += match.end() - match.start()
    _collect(pieces, text, start, len(text), num_quiet=num_quiet, has_case=has_case)
    return [(0, len(text))] if num_elif > LONGEST_CHAIN else pieces


def _collect(pieces: list[tuple[int, int]], text: str, start: int, end: int, *, num_quiet: int, has_case: bool) -> None:
    length = end - start - num_quiet
    if length > _HARMLESS_CHARACTERS or (
        (length > _HARMLESS_BRACKETS or has_case)
        and sum(text.count(bracket, start, end) for bracket in "([{") > (2 if has_case else _HARMLESS_BRACKETS)
    ):
        pieces.append((start, end))


_LOOSE, _NEGATION, _UNARY = range(3)
"""How tightly an operator binds that stands in front of what it applies to."""


class _Frame:
    """What is open: a statement, a bracket, or a field of a formatted string."""

    def __init__(self, position: int, *, quote: str = "", in_specification: bool = False) -> None:
        self.quote = quote
        """Of the string that the field stands in."""
        self.in_specification = in_specification
        """Whether the field stands in another's format specification."""
        self.begin(position)

    def begin(self, position: int) -> None:
        """A new expression: all operands begin here."""
        self.operands = [position] * (_TRAILER + 1)
        """Where the operands of each kind of operator begin, loosest first."""
        self.prefixes = [0, 0, 0]
        """How many operators stand in front of the current operand, by how tightly they bind."""
        self.open_lambdas = 0
        """Those whose parameters are not over."""
        self.chain = 0


class _Weighing:
    """Reads a stretch of text token by token and adds up what parsing it will cost."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self._text = text
        self._at = start
        self._end = end
        self._branches: dict[int, int] = {}
        self._begin_line()

    def run(self) -> Excess | None:
        match_token = _TOKEN.match
        while self._at < self._end:
            match = match_token(self._text, self._at)
            assert match is not None, "the last alternative matches anything"
            begin, self._at = self._at, match.end()
            if match.lastgroup == "space":
                continue
            self._take(match.lastgroup or "", match.group(), begin)
            reason = self._excess()
            if reason is not None:
                return Excess(begin, reason)
        return None

    def _excess(self) -> str | None:
        if len(self._frames) > DEEPEST_BRACKETS:
            return "too many nested parentheses"
        if self._frames[-1].chain > LONGEST_CHAIN:
            return "too long a chain of operators, strings or branches to be analyzed"
        if self._work > _MOST_WORK + _WORK_A_TOKEN * self._position:
            return "too large an expression to be analyzed"
        return None

    def _begin_line(self) -> None:
        self._frames = [_Frame(0)]
        self._position = self._work = self._num_prefixes = 0
        self._after_operand = self._in_pattern = False
        self._line_begins = True

    def _take(self, kind: str, token: str, begin: int) -> None:
        depth = len(self._frames) - 1
        if kind == "newline":
            if not depth or len(self._frames[-1].quote) == 1:
                self._begin_line()
            return
        self._position += 1
        self._work += 10 * depth + 2 * self._num_prefixes
        if self._in_pattern:
            self._work += 1 << 2 * min(depth, 20)
        match kind:
            case "word":
                self._take_word(token, begin)
            case "operand" | "number":
                self._take_operand(is_string=kind == "operand")
            case "format":
                self._take_operand(is_string=True)
                self._read_format(token.lstrip("fFtTrR"))
            case "open":
                if self._after_operand:
                    self._extend(_TRAILER, copies=_COPIES.get(token, 1))
                self._frames.append(_Frame(self._position))
                self._after_operand = False
            case "close" if depth:
                self._close()
            case "comparison":
                self._end_operand(_UNARY)
            case "operator":
                self._take_operator(token)
            case "end":
                self._end_expression(token)
        self._line_begins = False

    def _take_word(self, word: str, begin: int) -> None:
        begins_statement = self._line_begins and len(self._frames) == 1
        if begins_statement:
            self._begin_statement(word, begin)
        frame = self._frames[-1]
        match word:
            case "and" | "or":
                frame.chain += 1
                self._end_operand(_NEGATION)
            case "not" if not self._after_operand:
                self._add_prefix(_NEGATION)
            case "is" | "in" | "not":
                self._end_operand(_UNARY)
            case "await":
                self._add_prefix(_UNARY)
            case "lambda":
                frame.open_lambdas += 1
                self._add_prefix(_LOOSE)
            case "else" | "yield" if not begins_statement:
                self._add_prefix(_LOOSE)
            case "for":
                frame.chain += 1
                self._begin_operands(0)
            case "if":
                self._in_pattern = False
                self._begin_operands(0)
            case _:
                self._after_operand = word not in _KEYWORDS

    def _begin_statement(self, word: str, begin: int) -> None:
        """Counts the branches of an `if`, which nest in the tree, and sees where patterns are."""
        self._in_pattern = word == "case"
        if word in ("if", "elif"):
            indent = begin - max(self._text.rfind("\n", 0, begin), self._text.rfind("\r", 0, begin))
            self._branches[indent] = self._branches.get(indent, 0) + 1 if word == "elif" else 0
            self._frames[-1].chain = self._branches[indent]

    def _take_operand(self, *, is_string: bool) -> None:
        self._frames[-1].chain += is_string and self._after_operand
        self._after_operand = True

    def _take_operator(self, symbol: str) -> None:
        if symbol == ".":
            self._extend(_TRAILER)
            self._after_operand = False
        elif symbol in ("**", "~") or not self._after_operand:
            self._add_prefix(_UNARY)
        else:
            self._extend(_LEVELS[symbol])
            self._drop_prefixes(_UNARY)
            self._begin_operands(_LEVELS[symbol] + 1)

    def _end_expression(self, symbol: str) -> None:
        """At a comma, a colon or an assignment."""
        frame = self._frames[-1]
        if frame.quote and symbol.startswith(":"):
            self._read_format(frame.quote, is_specification=True)
        elif symbol == ":=":
            self._add_prefix(_LOOSE)
        elif frame.open_lambdas or (symbol == ":" and len(self._frames) > 1):
            frame.open_lambdas -= symbol == ":" and frame.open_lambdas > 0
            self._begin_operands(0)
        else:
            self._in_pattern = self._in_pattern and symbol != ":"
            self._drop_prefixes(_LOOSE)
            frame.begin(self._position)
            self._after_operand = False

    def _close(self) -> None:
        frame = self._frames[-1]
        self._drop_prefixes(_LOOSE)
        self._frames.pop()
        self._after_operand = True
        if frame.quote:
            self._read_format(frame.quote, is_specification=frame.in_specification)

    def _extend(self, level: int, *, copies: int = 1) -> None:
        """The operand so far goes on: it is copied, by a subscript several times."""
        self._work += copies * (self._position - self._frames[-1].operands[level])

    def _begin_operands(self, level: int) -> None:
        self._frames[-1].operands[level:] = [self._position] * (_TRAILER + 1 - level)
        self._after_operand = False

    def _end_operand(self, binding: int) -> None:
        self._drop_prefixes(binding)
        self._begin_operands(0)

    def _add_prefix(self, binding: int) -> None:
        self._frames[-1].prefixes[binding] += 1
        self._num_prefixes += 1
        self._begin_operands(0 if binding < _UNARY else _TRAILER)

    def _drop_prefixes(self, binding: int) -> None:
        """What stood in front of an operand ends with it, and with it what binds tighter."""
        prefixes = self._frames[-1].prefixes
        self._num_prefixes -= sum(prefixes[binding:])
        prefixes[binding:] = [0] * (len(prefixes) - binding)

    def _read_format(self, quote: str, *, is_specification: bool = False) -> None:
        """Goes on in a formatted string, up to its next field or its end."""
        for match in _FORMAT.finditer(self._text, self._at):
            mark = match["mark"] or "-"
            if mark == "{":
                self._at = match.end()
                self._frames.append(_Frame(self._position, quote=quote, in_specification=is_specification))
                self._after_operand = False
                return
            if mark == "}" and is_specification:
                self._at = match.end()
                self._close()
                return
            if mark in "\n\r" and len(quote) == 1:
                self._at = match.start()
                return
            if mark in "\"'" and self._text.startswith(quote, match.start()):
                self._at = match.start() + len(quote)
                return
        self._at = len(self._text)
