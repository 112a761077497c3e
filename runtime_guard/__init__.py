"""Rides along with a PyTorch training run and says what made the first non-finite number.

This version describes the environment that a run takes place in (`runtime-guard environment`), which will be part of
every incident's report. Importing this package imports neither torch nor anything else that is not in Python itself.
"""

from __future__ import annotations

__version__ = "0.1.0"
