"""Quotients of exponentials, recognised as the sigmoid, tanh or softmax that they compute."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.facts.algebra.identity import Identity, Kind, Reading


def identity_of_logistic(node: cst.BaseExpression, reading: Reading) -> Identity | None:
    """The sigmoid or tanh that a quotient of exponentials is."""
    quotient = reading.of(node)
    match quotient.name, quotient.operands:
        case "div", (above, below):
            numerator: cst.BaseExpression | None = None if reading.formulas.number(above) == 1 else above
        case "reciprocal", (below,):
            numerator = None
        case "pow", (below, power) if reading.formulas.number(power) == -1:
            numerator = None
        case _:
            return None
    divisor = reading.formulas.of(below)
    terms = reading.formulas.two_terms(divisor)
    if terms is None or any(term.sign < 0 for term in terms):
        return None
    split = reading.formulas.number_and_term(divisor)
    if split is not None:
        exponent = reading.exponent(split[1].node) if split[0] == 1 else None
        if exponent is None:
            return None
        reading.note(divisor)
        return _of_logistic(node, numerator, exponent, reading)
    one, other = (reading.exponent(term.node) for term in terms)
    if numerator is None or one is None or other is None:
        return None
    reading.note(divisor)
    return _of_exponential_pair(node, numerator, (one, other), reading)


def _of_logistic(
    node: cst.BaseExpression,
    numerator: cst.BaseExpression | None,
    exponent: cst.BaseExpression,
    reading: Reading,
) -> Identity:
    """`numerator / (1 + exp(exponent))`."""
    if numerator is None:
        return reading.identity(Kind.SIGMOID, node, exponent, factor=-1.0)
    above = reading.formulas.of(numerator)
    if _is_exponential_of(reading, numerator, exponent):
        reading.note(above)
        return reading.identity(Kind.SIGMOID, node, exponent)
    split = reading.formulas.number_and_term(above)
    is_difference = split is not None and split[0] == -split[1].sign
    if split is not None and is_difference and _is_exponential_of(reading, split[1].node, exponent):
        reading.note(above)
        reading.of(split[1].node)
        return reading.identity(Kind.TANH, node, exponent, factor=0.5 * split[1].sign)
    return reading.identity(Kind.SIGMOID, node, exponent, numerator=numerator, factor=-1.0)


def _of_exponential_pair(
    node: cst.BaseExpression,
    numerator: cst.BaseExpression,
    exponents: tuple[cst.BaseExpression, cst.BaseExpression],
    reading: Reading,
) -> Identity | None:
    """`numerator / (exp(a) + exp(b))`."""
    above = reading.formulas.of(numerator)
    for one, other in (exponents, exponents[::-1]):
        if _is_exponential_of(reading, numerator, one):
            reading.note(above)
            return reading.identity(Kind.SIGMOID_OF_DIFFERENCE, node, one, other)
    terms = reading.formulas.two_terms(above)
    if terms is None or not reading.formulas.are_opposite(*exponents):
        return None
    positive, negative = sorted(terms, key=lambda term: -term.sign)
    if (positive.sign, negative.sign) != (1, -1):
        return None
    for one, other in (exponents, exponents[::-1]):
        if _is_exponential_of(reading, positive.node, one) and _is_exponential_of(reading, negative.node, other):
            reading.note(above)
            reading.of(positive.node)
            reading.of(negative.node)
            return reading.identity(Kind.TANH, node, one)
    return None


def identity_of_softmax(node: cst.BaseExpression, reading: Reading) -> Identity | None:
    """The softmax that exponentials divided by their sum are."""
    quotient = reading.of(node)
    if quotient.name != "div" or not quotient.operands:
        return None
    above, below = quotient.operands
    divisor, is_reshaped = reading.formulas.without_reshapes(below)
    reduced = reading.reduction_with_epsilon(divisor)
    if reduced is not None:
        reading.note(divisor)
        divisor, has_epsilon = reduced, True
    else:
        has_epsilon = False
    if divisor.name != "sum" or not divisor.operands:
        return None
    summand, numerator, is_weighted = divisor.operands[0], above, False
    summed = reading.formulas.of(summand)
    if summed.name == "mul" and _have_same_formula(reading, numerator, summand):
        factor = next((each for each in summed.operands if reading.formulas.of(each).name == "exp"), None)
        if factor is None:
            return None
        reading.note(summed)
        summand, numerator, is_weighted = factor, factor, True
    exponent = reading.exponent(summand)
    if exponent is None or not _is_exponential_of(reading, numerator, exponent):
        return None
    reading.note(divisor)
    reading.of(numerator)
    return reading.identity(
        Kind.SOFTMAX,
        node,
        exponent,
        reduction=divisor.operation,
        has_epsilon=has_epsilon,
        is_weighted=is_weighted,
        is_reshaped=is_reshaped,
    )


def _is_exponential_of(reading: Reading, node: cst.BaseExpression, exponent: cst.BaseExpression) -> bool:
    formula = reading.formulas.of(node)
    if formula.name != "exp" or not formula.operands:
        return False
    return reading.formulas.are_same(formula.operands[0], exponent)


def _have_same_formula(reading: Reading, one: cst.BaseExpression, other: cst.BaseExpression) -> bool:
    first, second = reading.formulas.of(one), reading.formulas.of(other)
    return first.node is second.node or reading.formulas.are_same(first.node, second.node)
