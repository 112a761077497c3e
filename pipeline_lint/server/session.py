"""What is open in the editor, and what the editor has been told of it.

Everything here happens on the event loop, but for the linter's calls, which have one thread for themselves. Each
version of a document is an object of its own, so a result is outdated when its document is no longer the open one.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from lsprotocol import types
from pygls.capabilities import get_capability
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path, uri_scheme

from pipeline_lint.diagnostic import Diagnostic
from pipeline_lint.explain import Page
from pipeline_lint.server.linter import Checked, Linter, OpenDocument
from pipeline_lint.server.text import BYTE_ORDER_MARK, EditorText
from pipeline_lint.server.translation import to_protocol

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")

_SUFFIXES = (".py", ".pyi")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the editor shows for one version of a document: each finding, and how it was put."""

    document: OpenDocument
    text: EditorText
    findings: tuple[tuple[Diagnostic, types.Diagnostic], ...]


class Session:
    """The state of one connection to an editor."""

    def __init__(self, server: LanguageServer) -> None:
        self._server = server
        self._linter = Linter()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="linter")
        self._documents: dict[str, OpenDocument] = {}
        self._shown: dict[str, Shown] = {}
        self._told: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._is_stale = False

    @property
    def encoding(self) -> str:
        """The position encoding that was agreed on."""
        return str(getattr(encoding := self._server.workspace.position_encoding, "value", encoding))

    def capability(self, name: str) -> Any:
        """What the editor says of one of its abilities; None where it does not speak of it."""
        return get_capability(self._server.client_capabilities, name)

    def open(self, item: types.TextDocumentItem) -> None:
        """Begins to look at a document, if it is Python; notebooks are no text."""
        path = self._path(item.uri)
        if path is None or path.endswith(".ipynb"):
            return
        if item.language_id == "python" or path.endswith(_SUFFIXES):
            self._put(path, item, item.text)

    def change(self, item: types.VersionedTextDocumentIdentifier, text: str) -> None:
        """Takes the new text of an open document."""
        known = self._documents.get(item.uri)
        if known is not None:
            self._put(known.path, item, text)

    def close(self, uri: str) -> None:
        """Forgets a document, and clears what was shown for it."""
        if self._documents.pop(uri, None) is not None:
            self._shown.pop(uri, None)
            self._server.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))

    def end(self) -> None:
        """Lets the worker finish what it is at, and do no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._refreshing is not None:
            self._refreshing.cancel()
        self._worker.shutdown(wait=False, cancel_futures=True)

    def refresh_in(self, seconds: float) -> None:
        """Checks all open documents after a while in which this is not called again."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._refresh)

    async def current(self, uri: str) -> Shown | None:
        """The findings for the text as it is now; None for what is not open, or changes meanwhile."""
        document = self._documents.get(uri)
        if document is None:
            return None
        shown = self._shown.get(uri)
        if shown is None or shown.document is not document:
            await self._check()
            shown = self._shown.get(uri)
        return shown if shown is not None and shown.document is document else None

    async def page_of(self, word: str, document: OpenDocument) -> Page | None:
        """The page of the rule with this code or name."""
        return await self._in_worker(self._linter.page_of, word, document.path)

    async def fix(self, document: OpenDocument, wanted: Diagnostic | None) -> types.WorkspaceEdit | None:
        """The edit that applies the fix of one finding, or with None all safe ones for the document."""
        documents = tuple(self._documents.values())
        if document not in documents:
            return None
        if wanted is None:
            changes = await self._in_worker(self._linter.fix_all, document, documents)
        else:
            changes = await self._in_worker(self._linter.fix_one, document, documents, wanted)
        for failure in changes.refused:
            message = f"{failure.path}: {failure.message}"
            if message not in self._told:
                self._tell(message, types.MessageType.Warning)
        by_path = {document.path: document for document in documents}
        edits: dict[OpenDocument | str, list[types.TextEdit]] = {}
        for path, change in changes.texts.items():
            target = by_path.get(path)
            text = EditorText(change.before, self.encoding, has_mark=target is not None and target.has_mark)
            edits[target or path] = text.edits_to(change.after)
        return self.workspace_edit(edits)

    def workspace_edit(self, edits: Mapping[OpenDocument | str, list[types.TextEdit]]) -> types.WorkspaceEdit | None:
        """Edits of open documents and of files by path, bound to the versions they were made for."""
        if not edits:
            return None
        if self.capability("workspace.workspace_edit.document_changes"):
            return types.WorkspaceEdit(
                document_changes=[
                    types.TextDocumentEdit(
                        types.OptionalVersionedTextDocumentIdentifier(
                            self._uri_of(target), target.version if isinstance(target, OpenDocument) else None
                        ),
                        changes,
                    )
                    for target, changes in edits.items()
                ]
            )
        if not all(self._is_open(target) for target in edits if isinstance(target, OpenDocument)):
            return None
        return types.WorkspaceEdit(changes={self._uri_of(target): changes for target, changes in edits.items()})

    def _put(self, path: str, item: types.TextDocumentItem | types.VersionedTextDocumentIdentifier, text: str) -> None:
        has_mark = text.startswith(BYTE_ORDER_MARK)
        self._documents[item.uri] = OpenDocument(item.uri, path, item.version, text[has_mark:], has_mark)

    def _path(self, uri: str) -> str | None:
        """The file that a document is, or would be once saved; None for views of other things."""
        if uri_scheme(uri) == "untitled":
            folder = self._server.workspace.root_path or Path.cwd()
            return str(Path(folder, f"{uri.rpartition('/')[2].removeprefix('untitled:')}.py"))
        return to_fs_path(uri)

    def _uri_of(self, target: OpenDocument | str) -> str:
        """The editor's own name for what is open, because spellings of a URI differ."""
        if isinstance(target, OpenDocument):
            return target.uri
        known = next((document.uri for document in self._documents.values() if document.path == target), None)
        return known or str(from_fs_path(target))

    def _is_open(self, document: OpenDocument) -> bool:
        return self._documents.get(document.uri) is document

    def _refresh(self) -> None:
        """Starts a check; while one is running, notes that another one must follow."""
        self._is_stale = True
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._refresh_until_fresh())

    async def _refresh_until_fresh(self) -> None:
        while self._is_stale:
            self._is_stale = False
            await self._check()

    async def _check(self) -> None:
        """Checks what is open and shows the findings of what has not changed meanwhile."""
        documents = tuple(self._documents.values())
        try:
            checked = await self._in_worker(self._linter.check, documents)
        except Exception as error:
            _logger.exception("check failed")
            self._tell_new([f"pipeline-lint failed; please report it: {type(error).__name__}: {error}"])
            return
        self._tell_new([*checked.errors, *(f"{failure.path}: {failure.message}" for failure in checked.failures)])
        for document in documents:
            if self._is_open(document):
                self._show(document, checked)

    def _show(self, document: OpenDocument, checked: Checked) -> None:
        diagnostics = checked.findings.get(document.uri, ())
        shown = self._shown.get(document.uri)
        if shown and shown.document is document and tuple(found for found, _ in shown.findings) == diagnostics:
            return
        text = EditorText(document.text, self.encoding, has_mark=document.has_mark)
        findings = tuple(
            (found, to_protocol(found, text, urls=checked.urls, uri_of=self._uri_of, encoding=self.encoding))
            for found in diagnostics
        )
        self._shown[document.uri] = Shown(document, text, findings)
        self._server.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(document.uri, [put for _, put in findings], document.version)
        )

    def _tell_new(self, problems: Sequence[str]) -> None:
        """Tells of each problem when it appears, not again with every check."""
        for problem in dict.fromkeys(problems):
            if problem not in self._told:
                self._tell(problem, types.MessageType.Error)
        self._told = set(problems)

    def _tell(self, message: str, kind: types.MessageType) -> None:
        self._server.window_show_message(types.ShowMessageParams(kind, message))

    async def _in_worker(
        self, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        call = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._worker, call)
