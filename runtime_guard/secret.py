"""Keeps secrets out of what is printed and stored: the values of environment variables above all."""

from __future__ import annotations

import re
from collections.abc import Mapping

HIDDEN = "<hidden>"

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:(?:API|ACCESS|PRIVATE)?KEY|\w*TOKEN|\w*SECRET|\w*PASSW(?:OR)?D|PASSPHRASE|PWD|CREDENTIALS?|AUTH|COOKIE)"
    r"(?:S?_|S?$)"
)
_SECRET_VALUE = re.compile(
    r"""
      ://[^/\s@]+@                                    # a URL with a user or a password
    | [?&][\w-]*(?:key|token|secret|sig|signature|password)[\w-]*=   # a signed URL
    | \b(?:hf_|gh[opsur]_|github_pat_|glpat-|sk-|xox[abp]-|AKIA|ASIA|ya29\.|eyJ[\w-]+\.)  # known kinds of tokens
    | -----BEGIN
    | (?<![A-Za-z0-9+])(?=[A-Za-z0-9+]*[0-9])(?=[A-Za-z0-9+]*[A-Za-z])[A-Za-z0-9+]{24,}   # long and random
    """,
    re.VERBOSE | re.IGNORECASE,
)


def hide_secrets(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables, with `HIDDEN` in place of every value that its name or its look says is secret.

    Errs towards hiding: a value that is hidden without need costs a question, a leaked one costs a key.
    """
    return {name: HIDDEN if _is_secret(name, value) else value for name, value in variables.items()}


def _is_secret(name: str, value: str) -> bool:
    return _SECRET_NAME.search(name.upper()) is not None or _SECRET_VALUE.search(value) is not None
