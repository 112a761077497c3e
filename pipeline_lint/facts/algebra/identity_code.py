"""How the function that computes an identity is written in its place."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.diagnostic import Edit
from pipeline_lint.facts.algebra.formulas import is_negative_product
from pipeline_lint.facts.algebra.identity import Identity, Kind
from pipeline_lint.facts.code.calls import Operation
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.code.inlining import Rewriting, formula_written, negated_code
from pipeline_lint.facts.code.names import Names
from pipeline_lint.source import Source

_ATOMS = (cst.Name, cst.Attribute, cst.Call, cst.Subscript)

_KEEPS_OPERAND = frozenset(
    {Kind.SOFTPLUS, Kind.LOGSUMEXP, Kind.LOG_OF_MEAN, Kind.SOFTPLUS_OF_LOGSUMEXP, Kind.LOGADDEXP, Kind.LOG1P}
)
"""The functions that keep what they are given for the backward pass, so that it must not change in place later."""
_KEEPS_RESULT = frozenset(
    {Kind.SOFTMAX, Kind.SIGMOID, Kind.SIGMOID_OF_DIFFERENCE, Kind.TANH, Kind.EXPM1, Kind.LOGSUMEXP, Kind.LOG_OF_MEAN}
)
_TAKES_LOGITS = frozenset(
    {Kind.SOFTPLUS, Kind.LOGSUMEXP, Kind.SOFTPLUS_OF_LOGSUMEXP, Kind.SOFTMAX, Kind.SIGMOID, Kind.TANH}
)


def identity_written(source: Source, identity: Identity) -> tuple[Edit, ...] | None:
    """The edits that put the function in the place of its formula; None where that could break or change something."""
    if identity.is_weighted or any(
        operation.is_inplace or "out" in operation.operands for operation in identity.operations
    ):
        return None
    flow = source.fact(Flow)
    kept = identity.operands if identity.kind in _KEEPS_OPERAND else ()
    if any(flow.is_changed_later(operand, after=identity.node) for operand in kept):
        return None
    if identity.kind in _KEEPS_RESULT and flow.is_result_changed_later(identity.node):
        return None
    writer = _Writer(source, identity)
    if identity.reduction is not None and not writer.is_reduction_plain():
        return None
    rewriting = Rewriting(
        identity.node,
        identity.operands,
        identity.definitions,
        num_uses=writer.num_uses,
        may_name=identity.kind in _TAKES_LOGITS,
    )
    edits = formula_written(source, rewriting, writer.code)
    return (*writer.imports, *edits) if edits is not None else None


class _Writer:
    """Writes one identity; `imports` are the edits that its code needs, known once it is written."""

    def __init__(self, source: Source, identity: Identity) -> None:
        self._source = source
        self._identity = identity
        self.imports: list[Edit] = []
        dim = identity.reduction.operands.get("dim") if identity.reduction is not None else None
        keepdim = identity.reduction.operands.get("keepdim") if identity.reduction is not None else None
        self._dim = source.code(dim) if dim is not None else None
        self._keepdim = source.code(keepdim) if keepdim is not None else None

    @property
    def num_uses(self) -> int:
        """How often the code has the operand."""
        kind = self._identity.kind
        is_over_all = self._dim is None and kind is Kind.SOFTMAX
        return 2 if kind in (Kind.INVERSE_SOFTPLUS, Kind.LOG_OF_MEAN) or is_over_all else 1

    def is_reduction_plain(self) -> bool:
        """Whether the sum or mean has arguments that the function takes as well, with the same values there."""
        reduction = self._identity.reduction
        assert reduction is not None
        if not reduction.operands.keys() <= {"input", "dim", "keepdim"} or reduction.rest:
            return False
        if self._keepdim not in (None, "True", "False"):
            return False
        dim = reduction.operands.get("dim")
        if dim is not None and not self._is_dim(dim, reduction):
            return False
        if self._identity.kind is not Kind.SOFTMAX:
            return True
        if dim is None:
            return self._keepdim is None and not self._identity.is_reshaped
        if isinstance(dim, cst.Tuple | cst.List) or self._identity.is_reshaped:
            return False
        # Without keepdim only a sum over the first dim is aligned with what it divides, whatever the number of dims.
        return self._keepdim == "True" or self._dim == "0"

    def _is_dim(self, dim: cst.BaseExpression, reduction: Operation) -> bool:
        match dim:
            case cst.Tuple(elements=elements) | cst.List(elements=elements):
                is_mean = self._identity.kind is Kind.LOG_OF_MEAN
                return bool(elements) and not is_mean and all(_is_integer(element.value) for element in elements)
            case cst.Name(value=name) if name not in ("None", "True", "False"):
                return not self._may_be_none(dim, name) and self._source.fact(Flow).has_same_value(
                    dim, at=self._identity.node
                )
        return _is_integer(dim)

    def _may_be_none(self, node: cst.CSTNode, name: str) -> bool:
        """Whether a dim is a parameter of the function whose default or annotation allows None, a list or a tuple."""
        function = self._source.enclosing(node, cst.FunctionDef)
        if function is None:
            return True
        for parameter in (*function.params.params, *function.params.kwonly_params):
            if parameter.name.value == name:
                annotation = parameter.annotation.annotation if parameter.annotation is not None else None
                is_int = annotation is None or (isinstance(annotation, cst.Name) and annotation.value == "int")
                return not is_int or (parameter.default is not None and not _is_integer(parameter.default))
        return True

    def code(self, *operands: str) -> str:
        """The function's call."""
        identity = self._identity
        first = operands[0]
        match identity.kind:
            case Kind.SOFTPLUS:
                return self._call("torch.nn.functional.softplus", first)
            case Kind.LOGSUMEXP:
                return self._logsumexp(first)
            case Kind.LOG_OF_MEAN:
                size = f"{_atom(first)}.numel()" if self._dim is None else f"{_atom(first)}.shape[{self._dim}]"
                return f"{self._logsumexp(first)} - {self._call('math.log', size)}"
            case Kind.SOFTPLUS_OF_LOGSUMEXP:
                return self._call("torch.nn.functional.softplus", self._logsumexp(first))
            case Kind.LOGADDEXP:
                return self._call("torch.logaddexp", f"{first}, {operands[1]}")
            case Kind.INVERSE_SOFTPLUS:
                return f"{_term(first)} + {self._log_of_minus_expm1(negated_code(first))}"
            case Kind.LOG_OF_COMPLEMENT:
                return self._log_of_minus_expm1(first)
            case Kind.LOG1P:
                return self._elementwise("log1p", "log", first)
            case Kind.EXPM1:
                return self._elementwise("expm1", "exp", first)
            case Kind.COMPLEMENT_OF_EXP:
                return f"-{self._elementwise('expm1', 'exp', first)}"
            case Kind.COMPLEMENT_OF_COS:
                return f"2 * {self._call('torch.sin', _scaled(first, 0.5))} ** 2"
            case Kind.SIGMOID_OF_DIFFERENCE:
                return self._call("torch.sigmoid", f"{_term(first)} - {_atom(operands[1])}")
            case Kind.TANH:
                return self._call("torch.tanh", _scaled(first, identity.factor))
            case Kind.SIGMOID:
                call = self._call("torch.sigmoid", _scaled(first, identity.factor))
                return f"{self._numerator(identity.numerator)} * {call}" if identity.numerator is not None else call
            case Kind.SOFTMAX if self._dim is None:
                call = self._call("torch.softmax", f"{_atom(first)}.flatten(), 0")
                return f"{call}.view_as({first})"
            case Kind.SOFTMAX:
                return self._call("torch.softmax", f"{first}, dim={self._dim}")

    def _call(self, path: str, arguments: str) -> str:
        reference = self._source.fact(Names).reference(path, at=self._identity.node)
        self.imports += [edit for edit in reference.edits if edit not in self.imports]
        return f"{reference.code}({arguments})"

    def _elementwise(self, name: str, replaced: str, operand: str) -> str:
        """A method where the formula had one, else a function."""
        for operation in self._identity.operations:
            if operation.name == replaced and operation.is_method:
                return f"{_atom(operand)}.{name}()"
        return self._call(f"torch.{name}", operand)

    def _logsumexp(self, operand: str) -> str:
        if self._dim is None:
            return self._call("torch.logsumexp", f"{_atom(operand)}.flatten(), 0")
        keepdim = ", keepdim=True" if self._keepdim == "True" else ""
        return self._call("torch.logsumexp", f"{operand}, dim={self._dim}{keepdim}")

    def _log_of_minus_expm1(self, operand: str) -> str:
        return self._call("torch.log", f"-{self._call('torch.expm1', operand)}")

    def _numerator(self, node: cst.BaseExpression) -> str:
        code = self._source.code(node)
        return code if isinstance(self._identity.node, cst.BinaryOperation) else _term(code)


def _is_integer(node: cst.BaseExpression) -> bool:
    if isinstance(node, cst.UnaryOperation):
        return isinstance(node.operator, cst.Minus) and isinstance(node.expression, cst.Integer)
    return isinstance(node, cst.Integer)


def _atom(code: str) -> str:
    """The code as what a method is called on."""
    return code if isinstance(cst.parse_expression(f"({code})"), _ATOMS) else f"({code})"


def _term(code: str) -> str:
    """The code as the left side of a sum or product."""
    match cst.parse_expression(f"({code})"):
        case cst.BinaryOperation(operator=cst.Multiply() | cst.Divide() | cst.Power()):
            return code
        case cst.UnaryOperation() | cst.BaseNumber():
            return code
    return _atom(code)


def _scaled(code: str, factor: float) -> str:
    """`factor * code` for a factor of 1, -1, 0.5 or -0.5; a 2 that stands there already goes."""
    if abs(factor) == 1:
        return code if factor > 0 else _negated(code)
    match cst.parse_expression(f"({code})"):
        case cst.BinaryOperation(left=left, operator=cst.Multiply(), right=right) if not right.lpar:
            number = left.expression if isinstance(left, cst.UnaryOperation) else left
            if isinstance(number, cst.Integer | cst.Float) and number.evaluated_value == 2:
                half = cst.Module([]).code_for_node(right)
                return half if (factor > 0) == (number is left) else negated_code(half)
    return f"{_atom(code) if factor > 0 else negated_code(code)} / 2"


def _negated(code: str) -> str:
    """Minus the code; a minus that stands before all of it goes."""
    parsed = cst.parse_expression(f"({code})")
    is_product = isinstance(parsed, cst.BinaryOperation) and is_negative_product(parsed)
    return code.removeprefix("-").lstrip() if is_product else negated_code(code)
