"""Markdown to HTML that cannot do harm: what a run's texts hold comes from anywhere."""

from __future__ import annotations

import html
from typing import Any


def as_html(text: str) -> str:
    """Tables, lists, emphasis and code; HTML, links and pictures stay the text that they are."""
    try:
        import markdown  # type: ignore[import-untyped]
    except ImportError:
        return f"<pre>{html.escape(text)}</pre>"
    reader: Any = markdown.Markdown(extensions=["tables", "sane_lists"])
    reader.preprocessors.deregister("html_block")
    for name in [item.name for item in reader.inlinePatterns._priority]:
        if name == "html" or "link" in name or "image" in name or "reference" in name or "auto" in name:
            reader.inlinePatterns.deregister(name)
    return str(reader.convert(text))
