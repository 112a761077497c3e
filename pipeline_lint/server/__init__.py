"""The language server: findings, fixes and rule pages in any editor that speaks the Language Server Protocol.

It checks the text as it is in the editor, saved or not, under the nearest configuration above the file. Documents that
are not open are read from the disk where a rule needs them. Notebooks are not checked here, only by `check` and `fix`:
editors that have them send them cell by cell, with changes that are relative to the text before.
"""

from __future__ import annotations

import os
import sys

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from pipeline_lint import __version__
from pipeline_lint.config import FILE_NAMES
from pipeline_lint.server.actions import KINDS, code_actions, resolve
from pipeline_lint.server.hovering import hover
from pipeline_lint.server.session import Session

_PAUSE_SECONDS = 0.2
"""How long typing rests before its text is checked."""

_WATCHED = (f"**/{{{','.join(('pyproject.toml', *FILE_NAMES))}}}", "**/*.{py,pyi}")


def serve() -> None:
    """Speaks with an editor on standard input and output until it hangs up."""
    # What a local rule prints must not end up between the messages.
    messages = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    create_server().start_io(sys.stdin.buffer, messages)


def create_server() -> LanguageServer:
    """A server for one connection."""
    # Whole texts instead of changes: pygls 2.1 counts lines as `str.splitlines` does, also at form feeds, which editors
    # do not; a text put together from changes would come apart there.
    server = LanguageServer("pipeline-lint", __version__, types.TextDocumentSyncKind.Full)
    session = Session(server)
    _add_synchronization(server, session)
    _add_requests(server, session)
    return server


def _add_synchronization(server: LanguageServer, session: Session) -> None:
    @server.feature(types.INITIALIZED)
    def initialized(_: types.InitializedParams) -> None:
        if session.capability("workspace.did_change_watched_files.dynamic_registration"):
            watchers = [types.FileSystemWatcher(pattern) for pattern in _WATCHED]
            options = types.DidChangeWatchedFilesRegistrationOptions(watchers)
            method = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
            server.client_register_capability(
                types.RegistrationParams([types.Registration("pipeline-lint-files", method, options)])
            )

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenTextDocumentParams) -> None:
        session.open(params.text_document)
        session.refresh_in(0)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeTextDocumentParams) -> None:
        for change in params.content_changes:
            session.change(params.text_document, change.text)
        session.refresh_in(_PAUSE_SECONDS)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def did_save(_: types.DidSaveTextDocumentParams) -> None:
        session.refresh_in(0)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        session.close(params.text_document.uri)
        session.refresh_in(_PAUSE_SECONDS)

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def did_change_watched_files(_: types.DidChangeWatchedFilesParams) -> None:
        session.refresh_in(_PAUSE_SECONDS)

    @server.feature(types.SHUTDOWN)
    def shutdown(*_: object) -> None:
        session.end()


def _add_requests(server: LanguageServer, session: Session) -> None:
    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(code_action_kinds=KINDS))
    async def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
        return await code_actions(session, params)

    @server.feature(types.CODE_ACTION_RESOLVE)
    async def resolve_code_action(action: types.CodeAction) -> types.CodeAction:
        return await resolve(session, action)

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def show_page(params: types.HoverParams) -> types.Hover | None:
        return await hover(session, params)
