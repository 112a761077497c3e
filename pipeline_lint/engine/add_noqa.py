"""Writing suppression comments for findings that are there today."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from pipeline_lint.diagnostic import Diagnostic, Failure
from pipeline_lint.document import UnencodableEdit
from pipeline_lint.documents import open_document
from pipeline_lint.engine.roots import project_root
from pipeline_lint.engine.suppress import noqa_edits
from pipeline_lint.engine.transaction import CannotWrite, Change, ChangedMeanwhile, write_group

_UNPARSABLE = "TRN901"


def add_noqa_comments(diagnostics: Sequence[Diagnostic]) -> tuple[list[str], list[Failure]]:
    """Adds `# noqa: CODE` beside each finding; the files that changed, and those that could not be.

    A file that does not parse gets no comments: nothing says where its lines end.
    """
    by_path: dict[str, list[Diagnostic]] = defaultdict(list)
    for diagnostic in diagnostics:
        if diagnostic.code != _UNPARSABLE:
            by_path[diagnostic.path].append(diagnostic)
    changed: list[str] = []
    failures: list[Failure] = []
    for path, found in sorted(by_path.items()):
        try:
            old = Path(path).read_bytes()
            document = open_document(path, old)
            new = document.splice(list(noqa_edits(document, found)))
            if new != old:
                changes = {path: Change(old, new)}
                write_group(changes, root=project_root(changes))
                changed.append(path)
        except (OSError, UnencodableEdit, CannotWrite, ChangedMeanwhile) as error:
            failures.append(Failure(path, str(error)))
    return changed, failures
