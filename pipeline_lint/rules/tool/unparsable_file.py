"""TRN901: a file that cannot be read as Python. The finding itself is made in `engine/check.py`."""

from __future__ import annotations

from pipeline_lint.rule import ToolRule


class UnparsableFile(ToolRule):
    """A file that Python could not run: it has a syntax error, or cannot be decoded.

    Nothing in such a file is checked, and a fix never touches it. One that breaks off in the middle usually comes from
    a merge conflict or a copy that went wrong; it fails when it is imported, which in a training job may be hours after
    the start. The place is the one that Python's own parser names. A notebook whose JSON is damaged counts as well.

    Bad:
        def forward(self, x:
            return self.head(x)
    Good:
        def forward(self, x):
            return self.head(x)
    Exempt: syntax of any Python from 3.8 to 3.14, whichever Python runs the checker; magics and shell commands in
        notebooks.
    Fix: None: what was meant is not to be guessed. A file that is not meant to be Python, such as a template, belongs
        into `exclude`.
    Source: https://docs.python.org/3/reference/grammar.html
    """

    code = "TRN901"
