"""What the editor can do about findings: apply one fix or all safe ones, or silence a finding on its line.

Fixes run the engine, which takes longer than a cursor rests; so where the editor can ask again, an action comes
without its edit, which is made when the action is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lsprotocol import types

from pipeline_lint.diagnostic import Applicability, Diagnostic
from pipeline_lint.server.linter import suppression
from pipeline_lint.server.session import Session, Shown
from pipeline_lint.server.translation import overlaps

FIX_ALL = f"{types.CodeActionKind.SourceFixAll.value}.pipeline-lint"
KINDS = (types.CodeActionKind.QuickFix, FIX_ALL)


async def code_actions(session: Session, params: types.CodeActionParams) -> list[types.CodeAction]:
    """The actions for a stretch of a document, of the kinds that are asked for."""
    shown = await session.current(params.text_document.uri)
    if shown is None:
        return []
    actions: list[types.CodeAction] = []
    if _wants(types.CodeActionKind.QuickFix.value, params.context.only):
        for diagnostic, put in _chosen(shown, params):
            actions.extend(_for_finding(session, shown, diagnostic, put))
    if _wants(FIX_ALL, params.context.only) and any(_is_safe(diagnostic) for diagnostic, _ in shown.findings):
        data = _reference(shown, None)
        actions.append(types.CodeAction("pipeline-lint: apply all safe fixes", kind=FIX_ALL, data=data))
    if session.capability("text_document.code_action.resolve_support"):
        return actions
    resolved = [await resolve(session, action) for action in actions]
    return [action for action in resolved if action.edit is not None]


async def resolve(session: Session, action: types.CodeAction) -> types.CodeAction:
    """The action with its edit; without one where the text or the finding is no longer what it was."""
    data: Any = action.data
    if action.edit is not None or not isinstance(data, dict):
        return action
    shown = await session.current(data["uri"])
    if shown is None or shown.document.version != data["version"]:
        return action
    wanted = next((found for found, _ in shown.findings if _reference(shown, found) == data), None)
    if wanted is not None or data == _reference(shown, None):
        action.edit = await session.fix(shown.document, wanted)
    return action


def _for_finding(
    session: Session, shown: Shown, diagnostic: Diagnostic, put: types.Diagnostic
) -> Iterator[types.CodeAction]:
    quick_fix = types.CodeActionKind.QuickFix
    if diagnostic.fix is not None:
        is_safe = _is_safe(diagnostic)
        yield types.CodeAction(
            f"{diagnostic.code}: {diagnostic.fix.message}{'' if is_safe else ' (unsafe)'}",
            kind=quick_fix,
            diagnostics=[put],
            is_preferred=is_safe,
            data=_reference(shown, diagnostic),
        )
    edits = suppression(shown.document, diagnostic)
    if edits:
        text = shown.text
        changes = [
            types.TextEdit(types.Range(text.position(edit.location), text.position(edit.end_location)), edit.text)
            for edit in edits
        ]
        title = f"Disable {diagnostic.code} for this line"
        edit = session.workspace_edit({shown.document: changes})
        yield types.CodeAction(title, kind=quick_fix, diagnostics=[put], edit=edit)


def _chosen(shown: Shown, params: types.CodeActionParams) -> Iterable[tuple[Diagnostic, types.Diagnostic]]:
    """The findings in the range, and those that the editor names: some give only the cursor for a whole line."""
    named = [(put.code, put.range) for put in params.context.diagnostics]
    return [
        (found, put)
        for found, put in shown.findings
        if overlaps(put.range, params.range) or (put.code, put.range) in named
    ]


def _wants(kind: str, only: Sequence[types.CodeActionKind | str] | None) -> bool:
    """Whether the kind, or one that it is a part of, is asked for."""
    if only is None:
        return True
    asked = [word.value if isinstance(word, types.CodeActionKind) else word for word in only]
    return any(f"{kind}.".startswith(f"{word}.") or not word for word in asked)


def _is_safe(diagnostic: Diagnostic) -> bool:
    return diagnostic.fix is not None and diagnostic.fix.applicability is Applicability.SAFE


def _reference(shown: Shown, diagnostic: Diagnostic | None) -> dict[str, Any]:
    """What finds a finding again when its action is chosen; None: all of the document."""
    document = shown.document
    reference: dict[str, Any] = {"uri": document.uri, "version": document.version}
    if diagnostic is not None:
        place = diagnostic.place
        reference |= {"code": diagnostic.code, "place": [place.start, place.end], "message": diagnostic.message}
    return reference
