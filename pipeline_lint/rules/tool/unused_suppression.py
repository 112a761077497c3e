"""TRN902: a suppression comment that silences nothing. The finding itself is made in `engine/suppress.py`."""

from __future__ import annotations

from pipeline_lint.rule import ToolRule


class UnusedSuppression(ToolRule):
    """A comment that silences a rule where the rule has nothing to say.

    The code that it excused has been changed or removed, the rule's name is misspelled, or the comment stands on
    another row. Left behind it hides the next real finding there, and tells readers of a danger that is not.

    Bad:
        import torch.nn.functional as F

        def loss(logits):
            return -F.logsigmoid(logits).mean()  # noqa: TRN201
    Good:
        import torch.nn.functional as F

        def loss(logits):
            return -F.logsigmoid(logits).mean()
    Exempt: codes of other tools, comments for rules that are not selected in this run, and a `# noqa` without codes,
        which may be meant for another tool.
    Fix: Safe: the rule is taken out of the comment, or the comment away when nothing is left of it. There is none for a
        misspelled directive or rule, which may still have a purpose.
    Source: modelled on what ruff and flake8 users know as unused `noqa`.
    """

    code = "TRN902"
