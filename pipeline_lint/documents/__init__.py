"""The kinds of file that hold Python: scripts and modules, and notebooks."""

from __future__ import annotations

from pathlib import PurePath

from pipeline_lint.document import Document
from pipeline_lint.documents.script import Script


def open_document(path: str, data: bytes) -> Document:
    """The document that the name of the file asks for.

    Raises `UnreadableDocument` when the bytes are no such document.
    """
    # Imported here so that a run without notebooks does not pay for reading them.
    if PurePath(path).suffix == ".ipynb":
        from pipeline_lint.documents.notebook import Notebook

        return Notebook(path, data)
    return Script(path, data)
