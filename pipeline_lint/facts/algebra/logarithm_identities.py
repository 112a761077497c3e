"""Logarithms of exponentials and of one plus something, recognised as what they compute."""

from __future__ import annotations

from dataclasses import replace

import libcst as cst

from pipeline_lint.facts.algebra.formulas import Formula
from pipeline_lint.facts.algebra.identity import Identity, Kind, Reading


def identity_of_logarithm(node: cst.BaseExpression, reading: Reading) -> Identity | None:
    """The identity that a call of `log` or `log1p` is."""
    log = reading.of(node)
    if not log.operands:
        return None
    argument = log.operands[0]
    if log.name == "log1p":
        return _of_one_plus(argument, node, reading)
    formula = reading.formulas.of(argument)
    if formula.name in ("sum", "mean", "expm1", "add", "sub"):
        reading.note(formula)
    if formula.name in ("sum", "mean"):
        kind = Kind.LOGSUMEXP if formula.name == "sum" else Kind.LOG_OF_MEAN
        return _of_reduction(kind, formula, node, reading)
    if formula.name == "expm1" and formula.operands:
        return reading.identity(Kind.INVERSE_SOFTPLUS, node, formula.operands[0])
    reduced = reading.reduction_with_epsilon(formula)
    if reduced is not None:
        reading.note(formula)
        kind = Kind.LOGSUMEXP if reduced.name == "sum" else Kind.LOG_OF_MEAN
        found = _of_reduction(kind, reading.note(reduced), node, reading)
        return replace(found, has_epsilon=True) if found is not None else None
    split = reading.formulas.number_and_term(formula)
    if split is None:
        return _of_two_exponentials(formula, node, reading)
    number, term = split
    exponent = reading.exponent(term.node)
    if (number, term.sign) == (1.0, 1):
        return _of_one_plus(term.node, node, reading)
    if (number, term.sign) == (1.0, -1) and exponent is not None:
        return reading.identity(Kind.LOG_OF_COMPLEMENT, node, exponent)
    if (number, term.sign) == (-1.0, 1) and exponent is not None:
        return reading.identity(Kind.INVERSE_SOFTPLUS, node, exponent)
    return None


def _of_one_plus(node: cst.BaseExpression, at: cst.BaseExpression, reading: Reading) -> Identity | None:
    """The logarithm `at` of 1 plus `node`."""
    exponent = reading.exponent(node)
    if exponent is not None:
        return reading.identity(Kind.SOFTPLUS, at, exponent)
    formula = reading.formulas.of(node)
    if formula.name == "sum":
        inner = _of_reduction(Kind.SOFTPLUS_OF_LOGSUMEXP, reading.note(formula), at, reading)
        if inner is not None:
            return inner
    return reading.identity(Kind.LOG1P, at, node) if reading.formulas.of(at).name == "log" else None


def _of_reduction(kind: Kind, formula: Formula, at: cst.BaseExpression, reading: Reading) -> Identity | None:
    """The logarithm `at` of a sum or mean of exponentials, perhaps weighted ones."""
    if not formula.operands:
        return None
    summand = reading.formulas.of(formula.operands[0])
    for factor in summand.operands if summand.name == "mul" else ():
        exponent = reading.exponent(factor)
        if exponent is not None:
            reading.note(summand)
            return reading.identity(kind, at, exponent, reduction=formula.operation, is_weighted=True)
    exponent = reading.exponent(formula.operands[0])
    return reading.identity(kind, at, exponent, reduction=formula.operation) if exponent is not None else None


def _of_two_exponentials(formula: Formula, at: cst.BaseExpression, reading: Reading) -> Identity | None:
    terms = reading.formulas.two_terms(formula)
    if terms is None or any(term.sign < 0 for term in terms):
        return None
    one, other = (reading.exponent(term.node) for term in terms)
    return reading.identity(Kind.LOGADDEXP, at, one, other) if one is not None and other is not None else None
