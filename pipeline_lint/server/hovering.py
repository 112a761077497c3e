"""The page of a rule, for whoever rests on a finding or on a code in a comment that silences it."""

from __future__ import annotations

import re

from lsprotocol import types

from pipeline_lint.explain import render_markdown, render_text
from pipeline_lint.server.session import Session, Shown
from pipeline_lint.server.text import num_units
from pipeline_lint.server.translation import overlaps

_COMMENT = re.compile(r"#.*?\b(?:noqa|pipeline-lint)\b.*", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z][\w-]*")


async def hover(session: Session, params: types.HoverParams) -> types.Hover | None:
    """The pages of the rules meant at a position, in Markdown where the editor shows it."""
    shown = await session.current(params.text_document.uri)
    if shown is None:
        return None
    at = types.Range(params.position, params.position)
    meant = [(found.code, put.range) for found, put in shown.findings if overlaps(put.range, at)]
    meant = meant or _named_in_comment(shown, params.position, session.encoding)
    pages = [(await session.page_of(word, shown.document), where) for word, where in dict(meant).items()]
    known = [(page, where) for page, where in pages if page is not None]
    if not known:
        return None
    formats = session.capability("text_document.hover.content_format") or []
    is_markdown = types.MarkupKind.Markdown in formats
    render = render_markdown if is_markdown else render_text
    text = "\n\n---\n\n".join(render(page) for page, _ in known)
    kind = types.MarkupKind.Markdown if is_markdown else types.MarkupKind.PlainText
    return types.Hover(types.MarkupContent(kind, text), known[0][1])


def _named_in_comment(shown: Shown, position: types.Position, encoding: str) -> list[tuple[str, types.Range]]:
    """The word at the position, if it may name a rule in a suppression comment."""
    line = shown.text.line(position.line + 1)
    comment = _COMMENT.search(line)
    for match in _WORD.finditer(line, comment.start()) if comment else ():
        start, end = (num_units(line[:offset], encoding) for offset in match.span())
        if start <= position.character <= end:
            where = types.Range(types.Position(position.line, start), types.Position(position.line, end))
            return [(match.group(), where)]
    return []
