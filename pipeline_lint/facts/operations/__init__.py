"""The table of operations: what torch does to ranges, dtypes and gradients, and where it breaks.

Each row is proven by running torch: `tests/facts/operations/test_rows_hold_in_torch.py`. Names are those of
`torch_api.operation_name`; Python's operators come under `add`, `sub`, `mul`, `div`, `pow`, `matmul` and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipeline_lint.facts.operations import (
    activations,
    bounds,
    casts,
    combinations,
    conditions,
    creation,
    elementwise,
    extremes,
    layers,
    linear_algebra,
    losses,
    movement,
    powers,
    products,
    reductions,
    sums,
)
from pipeline_lint.facts.operations.row import Hazard, Row

_TABLES = (
    activations,
    bounds,
    combinations,
    conditions,
    powers,
    products,
    sums,
    casts,
    creation,
    elementwise,
    extremes,
    layers,
    linear_algebra,
    losses,
    movement,
    reductions,
)

OPERATIONS: Mapping[str, Row] = MappingProxyType({name: row for table in _TABLES for name, row in table.ROWS.items()})
"""Rows by the name of the operation."""

__all__ = ["OPERATIONS", "Hazard", "Row"]
