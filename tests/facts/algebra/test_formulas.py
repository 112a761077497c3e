"""Operators, functions and methods as one formula."""

from __future__ import annotations

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.algebra.formulas import Formula, Formulas
from pipeline_lint.parsing import parse

HEAD = "import torch\nimport torch.nn.functional as F\n\n\ndef f(x, y, n, eps, self):\n"


def formulas_of(*lines: str) -> tuple[Formulas, list[cst.BaseExpression]]:
    """The formulas of a file, and the arguments of `use(...)` in it."""
    code = HEAD + "".join(f"    {line}\n" for line in lines)
    source = parse(open_document("example.py", code.encode()))
    (use,) = (call for call in source.nodes(cst.Call) if isinstance(call.func, cst.Name) and call.func.value == "use")
    return source.fact(Formulas), [argument.value for argument in use.args]


def formula_of(*lines: str) -> Formula:
    formulas, (argument,) = formulas_of(*lines)
    return formulas.of(argument)


def code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)


@pytest.mark.parametrize(
    ("expression", "name", "operands"),
    [
        ("x + y", "add", ["x", "y"]),
        ("torch.add(x, y)", "add", ["x", "y"]),
        ("x.sub(y)", "sub", ["x", "y"]),
        ("x.sub_(y)", "sub", ["x", "y"]),
        ("x * y", "mul", ["x", "y"]),
        ("torch.true_divide(x, y)", "div", ["x", "y"]),
        ("x ** 2", "pow", ["x", "2"]),
        ("x.pow(2)", "pow", ["x", "2"]),
        ("-x", "neg", ["x"]),
        ("torch.neg(x)", "neg", ["x"]),
        ("(x).exp()", "exp", ["(x)"]),
        ("torch.special.expm1(x)", "expm1", ["x"]),
        ("torch.sum(x, dim=1)", "sum", ["x"]),
        ("3", "number", []),
        ("torch.add(x, y, alpha=2)", "add", []),
        ("torch.div(x, y, rounding_mode='floor')", "div", []),
        ("x", "", []),
        ("self.scale", "", []),
        ("model(x)", "", []),
        ("x // y", "", []),
    ],
)
def test_an_operation_has_one_name_however_it_is_spelled(expression: str, name: str, operands: list[str]) -> None:
    formula = formula_of(f"use({expression})")
    assert formula.name == name
    assert [code(operand) for operand in formula.operands] == operands


def test_a_name_stands_for_what_it_was_given() -> None:
    formula = formula_of("e = torch.exp(x)", "p = e", "use(p)")
    assert (formula.name, [definition.name for definition in formula.definitions]) == ("exp", ["p", "e"])


def test_a_name_of_something_unknown_stays_a_name() -> None:
    formula = formula_of("y = model(x)", "use(y)")
    assert (formula.name, code(formula.node), formula.definitions) == ("", "y", ())


def test_a_name_that_is_bound_in_a_branch_stays_a_name() -> None:
    assert formula_of("e = x", "if n:", "    e = torch.exp(x)", "use(e)").name == ""


@pytest.mark.parametrize(
    ("expression", "number"),
    [
        ("1", 1.0),
        ("-2.5", -2.5),
        ("1 - 1e-3", 0.999),
        ("1 / 4", 0.25),
        ("2 * 3", 6.0),
        ("torch.ones_like(x)", 1.0),
        ("torch.tensor(2.0)", 2.0),
        ("one", 1.0),
        ("1 / 0", None),
        ("x", None),
        ("n + 1", None),
        ("torch.zeros_like(x)", None),
    ],
)
def test_numbers(expression: str, number: float | None) -> None:
    formulas, (argument,) = formulas_of("one = 1.0", f"use({expression})")
    assert formulas.number(argument) == number


@pytest.mark.parametrize(
    ("expression", "number", "term", "sign"),
    [
        ("1 + x", 1.0, "x", 1),
        ("x + 1", 1.0, "x", 1),
        ("1 - x", 1.0, "x", -1),
        ("x - 1", -1.0, "x", 1),
        ("-x + 1", 1.0, "x", -1),
        ("1 - -x", 1.0, "x", 1),
        ("torch.neg(x).add(1)", 1.0, "x", -1),
        ("torch.ones_like(x) - x", 1.0, "x", -1),
    ],
)
def test_a_number_and_a_term_with_their_signs(expression: str, number: float, term: str, sign: int) -> None:
    formulas, (argument,) = formulas_of(f"use({expression})")
    split = formulas.number_and_term(formulas.of(argument))
    assert split is not None
    assert (split[0], code(split[1].node), split[1].sign) == (number, term, sign)


@pytest.mark.parametrize("expression", ["x + y", "1 + 2", "1 + x + y", "1 * x", "x"])
def test_other_sums_are_no_number_and_term_of_their_own(expression: str) -> None:
    formulas, (argument,) = formulas_of(f"use({expression})")
    split = formulas.number_and_term(formulas.of(argument))
    assert split is None or code(split[1].node) == "x + y"


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("x", "x", True),
        ("x * y", "(x*y)", True),
        ("torch.exp(x)", "torch.exp( x )", True),
        ("x.size(0)", "x.size(0)", True),
        ("x", "y", False),
        ("model(x)", "model(x)", False),
        ("F.dropout(x)", "F.dropout(x)", False),
        ("torch.rand_like(x)", "torch.rand_like(x)", False),
        ("x.add_(1)", "x.add_(1)", False),
    ],
)
def test_two_expressions_are_the_same_value(one: str, other: str, are_same: bool) -> None:
    formulas, (first, second) = formulas_of(f"use({one}, {other})")
    assert formulas.are_same(first, second) == are_same


def test_an_expression_is_not_the_same_once_its_variable_has_changed() -> None:
    formulas, (name, other) = formulas_of("e = torch.exp(x)", "x = x + 1", "use(e, torch.exp(x))")
    first, second = formulas.of(name).operands[0], formulas.of(other).operands[0]
    assert not formulas.are_same(first, second)


@pytest.mark.parametrize(
    ("one", "other", "are_opposite"),
    [
        ("x", "-x", True),
        ("-2 * x", "2 * x", True),
        ("-x / y", "x / y", True),
        ("-(x + y)", "(x + y)", True),
        ("-x + y", "x + y", False),
        ("x", "x", False),
        ("-x", "y", False),
        ("-model(x)", "model(x)", False),
    ],
)
def test_two_expressions_are_opposite(one: str, other: str, are_opposite: bool) -> None:
    formulas, (first, second) = formulas_of(f"use({one}, {other})")
    assert formulas.are_opposite(first, second) == are_opposite


@pytest.mark.parametrize(
    ("expression", "name", "is_reshaped"),
    [
        ("x.sum(1)", "sum", False),
        ("x.sum(1).unsqueeze(1)", "sum", True),
        ("x.sum(1)[:, None]", "sum", True),
        ("x.sum(1)[..., None].expand_as(x)", "sum", True),
        ("x.sum(1)[0]", "", False),
    ],
)
def test_reshapes_are_looked_through(expression: str, name: str, is_reshaped: bool) -> None:
    formulas, (argument,) = formulas_of(f"use({expression})")
    formula, found = formulas.without_reshapes(argument)
    assert (formula.name, found) == (name, is_reshaped)


@pytest.mark.parametrize(
    ("expression", "is_epsilon"), [("1e-8", True), ("eps", True), ("self.eps", True), ("0", False), ("x", False)]
)
def test_epsilons(expression: str, is_epsilon: bool) -> None:
    formulas, (argument,) = formulas_of(f"use({expression})")
    assert formulas.is_epsilon(argument) == is_epsilon
