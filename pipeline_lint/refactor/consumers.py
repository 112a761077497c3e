"""Each use of an output, rewritten so that it takes values by name."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from pipeline_lint.refactor import narrowing
from pipeline_lint.refactor.keys import Keys
from pipeline_lint.refactor.program import FunctionInfo, ModuleCode
from pipeline_lint.refactor.rewriting import CannotRewrite, Rewriting, outer_span, require_placed
from pipeline_lint.refactor.uses import Use

_PLAIN = (ast.Name, ast.Attribute)
_MOST_EXPANDED = 6
_BINDING = (ast.Assign, ast.For, ast.AsyncFor, ast.comprehension, ast.With, ast.AsyncWith, ast.AnnAssign, ast.AugAssign)


class Consumers:
    """Rewrites uses of one group of outputs."""

    def __init__(self, rewriting: Rewriting, keys: Keys, *, noun: str, kind: str) -> None:
        self._rewriting = rewriting
        self._keys = keys
        self._noun = noun
        self._kind = kind
        """`tuple` or `list`: what the output is so far."""

    def rewrite(self, use: Use) -> None:
        """Raises `CannotRewrite` where the use has no proven form by name."""
        kind, _, method = use.kind.partition(" ")
        handler = _HANDLERS.get(kind)
        if handler is None:
            raise CannotRewrite(
                _REFUSALS.get(kind, "it is used in a way that is not followed").format(method or use.detail)
            )
        with self._rewriting.undone_on_refusal():
            handler(self, use)

    def _unpack(self, use: Use) -> None:
        code, target = use.code, use.node
        assert isinstance(target, ast.Tuple | ast.List)
        num_values = self._keys.num_values
        star = next((i for i, each in enumerate(target.elts) if isinstance(each, ast.Starred)), None)
        num_targets = len(target.elts)
        if (star is None and num_targets != num_values) or (star is not None and num_targets - 1 > num_values):
            raise CannotRewrite(f"it takes {num_targets} values of {num_values}")
        holder = next(each for each in code.ancestors(target) if isinstance(each, _BINDING))
        if isinstance(holder, ast.comprehension):
            self._unpack_in_comprehension(code, target, holder)
        elif isinstance(holder, ast.Assign):
            self._unpack_in_assignment(code, target, holder)
        elif isinstance(holder, ast.For | ast.AsyncFor | ast.With | ast.AsyncWith):
            name = self._free_name(code, target)
            self._rewriting.replace_node(code, target, name)
            self._rewriting.at_start(code, holder.body, list(self._assignments(code, target, name)))
        else:
            raise CannotRewrite("it is unpacked in a way that is not followed")

    def _unpack_in_assignment(self, code: ModuleCode, target: ast.Tuple | ast.List, holder: ast.Assign) -> None:
        if len(holder.targets) != 1:
            raise CannotRewrite("it is unpacked and kept at once")
        is_whole = holder.targets[0] is target
        source = holder.value
        bound = [name.id for name in ast.walk(target) if isinstance(name, ast.Name)]
        if is_whole and isinstance(source, ast.Name) and source.id not in bound:
            lines = list(self._assignments(code, target, source.id))
            start, _ = code.span(holder)
            _, end = code.span(holder)
            if lines:
                self._rewriting.replace(code, start, end, lines[0])
                self._rewriting.after_statement(code, holder, lines[1:])
            else:
                self._rewriting.replace(code, start, end, "pass")
            return
        name = self._free_name(code, target)
        self._rewriting.replace_node(code, target, name)
        self._rewriting.after_statement(code, holder, list(self._assignments(code, target, name)))

    def _assignments(self, code: ModuleCode, target: ast.Tuple | ast.List, source: str) -> Iterator[str]:
        """One line for each target that is used."""
        unused = _never_read(code, target)
        for each, indices in self._pairs(target):
            if isinstance(each, ast.Name) and each.id in unused:
                continue
            values = [self._keys.access(code, source, index) for index in indices]
            if isinstance(each, ast.Starred):
                yield f"{code.source(each.value)} = [{', '.join(values)}]"
            else:
                yield f"{code.source(each)} = {values[0]}"

    def _pairs(self, target: ast.Tuple | ast.List) -> Iterator[tuple[ast.expr, list[int]]]:
        """Each target with the indices of the values that it gets."""
        num_rest = self._keys.num_values - (len(target.elts) - 1)
        index = 0
        for each in target.elts:
            count = num_rest if isinstance(each, ast.Starred) else 1
            yield each, list(range(index, index + count))
            index += count

    def _unpack_in_comprehension(
        self, code: ModuleCode, target: ast.Tuple | ast.List, holder: ast.comprehension
    ) -> None:
        comprehension = code.parents[holder]
        name = self._free_name(code, target)
        replaced: dict[str, str] = {}
        for each, indices in self._pairs(target):
            if not isinstance(each, ast.Name):
                raise CannotRewrite("a comprehension unpacks it into more than names")
            replaced[each.id] = self._keys.access(code, name, indices[0])
        self._rewriting.replace_node(code, target, name)
        nodes = [
            each for each in _scope_of(comprehension, holder) if isinstance(each, ast.Name) and each.id in replaced
        ]
        rebound = {each.id for each in nodes if not isinstance(each.ctx, ast.Load)}
        for node in nodes:
            if not isinstance(node.ctx, ast.Load):
                continue
            if node.id in rebound or _is_rebound(code, node, comprehension):
                raise CannotRewrite(f"a comprehension gives `{node.id}` several meanings")
            self._rewriting.replace_node(code, node, replaced[node.id])

    def _free_name(self, code: ModuleCode, node: ast.AST) -> str:
        """A name for the whole output that nothing around `node` has, nor another output in its statement."""
        function: FunctionInfo | None = code.function_of(node)
        is_variable = not any(isinstance(each, ast.comprehension) for each in code.ancestors(node))
        if is_variable and "locals" in (code.mentioned if function is None else function.words):
            raise CannotRewrite("`locals()` would show the new variable")
        while function is not None and function.outer is not None:
            function = function.outer
        names = code.names if function is None else _names_in(function.node)
        chosen = code.chosen_names[code.statement_of(node)]
        for candidate in (
            *(self._noun, f"model_{self._noun}", f"named_{self._noun}", f"{self._noun}_by_name"),
            *(f"{self._noun}_{number}" for number in range(2, 10)),
        ):
            if candidate not in names and candidate not in {name for each, name in chosen.items() if each is not node}:
                chosen[node] = candidate
                return candidate
        raise CannotRewrite(f"no free name is left for it (`{self._noun}` is taken)")

    def _subscript(self, use: Use) -> None:
        code, node = use.code, use.node
        assert isinstance(node, ast.Subscript)
        if isinstance(node.ctx, ast.Store | ast.Del):
            raise CannotRewrite("a value of it is replaced")
        require_placed(node)
        index = constant_index(node.slice, self._keys.num_values)
        if index is not None:
            self._by_name(code, node, index)
            return
        indices = _sliced(node.slice, self._keys.num_values)
        if indices is not None and isinstance(node.value, _PLAIN):
            self._refuse_sums(code, node)
            text = code.source(node.value)
            values = [self._keys.access(code, text, each) for each in indices]
            self._rewriting.replace_node(code, node, _display(values, self._kind))
            return
        if isinstance(node.slice, ast.Constant):
            raise CannotRewrite(f"it has no value {ast.unparse(node.slice)}")
        self._positional(code, node.value)

    def _by_name(self, code: ModuleCode, node: ast.Subscript, index: int) -> None:
        """`outputs[1]` becomes `outputs[OUTPUT_MU]` or `outputs.mu`."""
        key = self._keys.refer(code, index)
        if self._keys.is_attribute:
            _, start = outer_span(code, node.value)
            self._rewriting.replace(code, start, code.span(node)[1], f".{key}")
        else:
            self._rewriting.replace_node(code, node.slice, key)

    def _positional(self, code: ModuleCode, node: ast.expr) -> None:
        """Turns the values back into what they were, for code that wants it."""
        self._iterated(code, node, f"{self._kind}(", ")")

    def _iterated(self, code: ModuleCode, node: ast.expr, before: str = "", after: str = "") -> None:
        require_placed(node)
        opening, closing = self._keys.around
        if not opening and not isinstance(node, (*_PLAIN, ast.Call, ast.Subscript)):
            opening, closing = "(", f"){closing}"
        self._rewriting.wrap(code, node, before + opening, closing + after)

    def _iterate(self, use: Use) -> None:
        assert isinstance(use.node, ast.expr)
        self._iterated(use.code, use.node)

    def _star(self, use: Use) -> None:
        code, node = use.code, use.node
        assert isinstance(node, ast.Starred)
        if isinstance(node.value, ast.Name) and self._keys.num_values <= _MOST_EXPANDED:
            values = [self._keys.access(code, node.value.id, index) for index in range(self._keys.num_values)]
            self._rewriting.replace_node(code, node, ", ".join(values))
        else:
            self._iterated(code, node.value)

    def _outside(self, use: Use) -> None:
        assert isinstance(use.node, ast.expr)
        node = use.node.value if isinstance(use.node, ast.Starred) else use.node
        self._refuse_sums(use.code, node)
        self._positional(use.code, node)

    def _refuse_sums(self, code: ModuleCode, node: ast.AST) -> None:
        """A sample is a tuple, and a list where a loader gives it: neither can be added to the other."""
        above = code.parents.get(node)
        if self._noun == "batch" and isinstance(above, ast.BinOp) and isinstance(above.op, ast.Add | ast.Mult):
            raise CannotRewrite("it is added to others")

    def _isinstance(self, use: Use) -> None:
        code, node = use.code, use.node
        assert isinstance(node, ast.Call)
        if len(node.args) != 2:
            raise CannotRewrite("its type is asked for in an unusual way")
        classes = narrowing.class_names(node.args[1])
        if classes.isdisjoint(narrowing.SEQUENCES | narrowing.OTHER_CONTAINERS):
            return
        if not classes <= narrowing.SEQUENCES:
            raise CannotRewrite("its type is compared with several kinds of containers")
        if self._noun == "batch" and len(classes) < 2:
            raise CannotRewrite("its type is asked for")
        self._rewriting.replace_node(code, node.args[1], self._keys.class_of(code))

    def _columns(self, use: Use) -> None:
        """`zip(*rows)`: each row gives its values."""
        code, node = use.code, use.node
        assert isinstance(node, ast.Call)
        stars = [each for each in node.args if isinstance(each, ast.Starred)]
        if len(node.args) != 1 or len(stars) != 1:
            raise CannotRewrite("its values are turned into columns together with others")
        name = self._noun.removesuffix("s") if self._noun == "outputs" else "sample"
        require_placed(stars[0].value)
        opening, closing = self._keys.around
        self._rewriting.wrap(code, stars[0].value, f"({opening}{name}{closing} for {name} in ", ")")

    def _len(self, use: Use) -> None:
        """A dict has a length, an object has attributes."""
        if self._keys.is_attribute:
            assert isinstance(use.node, ast.Call)
            self._rewriting.wrap(use.code, use.node.args[0], "vars(", ")")

    def _nothing(self, _: Use) -> None:
        """The use is the same for a dict."""


def _display(values: list[str], kind: str) -> str:
    if kind == "list":
        return f"[{', '.join(values)}]"
    return f"({values[0]},)" if len(values) == 1 else f"({', '.join(values)})"


def constant_index(node: ast.expr, num_values: int | None) -> int | None:
    """The index from the front that a subscript is written as, if there are as many values; None: there may be any."""
    match node:
        case ast.Constant(value=int() as index) if not isinstance(index, bool):
            return index if num_values is None or index < num_values else None
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as index)):
            if num_values is None:
                return -index
            return num_values - index if 0 < index <= num_values else None
    return None


def _sliced(node: ast.expr, num_values: int) -> list[int] | None:
    """The indices that a slice with constant bounds takes."""
    if not isinstance(node, ast.Slice):
        return None
    bounds: list[int | None] = []
    for each in (node.lower, node.upper, node.step):
        match each:
            case None:
                bounds.append(None)
            case ast.Constant(value=int() as number):
                bounds.append(number)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)):
                bounds.append(-number)
            case _:
                return None
    indices = list(range(num_values))[slice(*bounds)]
    return indices or None


def _names_in(node: ast.AST) -> set[str]:
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    names |= {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)}
    names |= {name for each in ast.walk(node) if isinstance(each, ast.Global | ast.Nonlocal) for name in each.names}
    return names | {each.name for each in ast.walk(node) if isinstance(each, ast.FunctionDef | ast.ClassDef)}


def _never_read(code: ModuleCode, target: ast.AST) -> set[str]:
    """Names like `_` that the target's scope binds and never reads."""
    wanted = {name.id for name in ast.walk(target) if isinstance(name, ast.Name) and not name.id.strip("_")}
    if not wanted:
        return wanted
    function = code.function_of(target)
    scope = function.node if function is not None else code.tree
    read = {name.id for name in ast.walk(scope) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Load)}
    return wanted - read


def _scope_of(comprehension: ast.AST, holder: ast.comprehension) -> Iterator[ast.AST]:
    """The nodes in which the targets of a generator are known, the target itself apart."""
    assert isinstance(comprehension, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp)
    parts: list[ast.AST] = [*holder.ifs]
    for later in comprehension.generators[comprehension.generators.index(holder) + 1 :]:
        parts += [later.target, later.iter, *later.ifs]
    if isinstance(comprehension, ast.DictComp):
        parts += [comprehension.key, comprehension.value]
    else:
        parts.append(comprehension.elt)
    for part in parts:
        yield from ast.walk(part)


def _is_rebound(code: ModuleCode, node: ast.Name, comprehension: ast.AST) -> bool:
    """Whether a lambda or comprehension between the name and its scope has a name of its own like it."""
    for above in code.ancestors(node):
        if above is comprehension:
            return False
        if isinstance(above, ast.Lambda) and node.id in {
            each.arg for each in ast.walk(above.args) if isinstance(each, ast.arg)
        }:
            return True
        for generator in getattr(above, "generators", ()):
            if any(isinstance(each, ast.Name) and each.id == node.id for each in ast.walk(generator.target)):
                return True
    return False


_HANDLERS: dict[str, Callable[[Consumers, Use], None]] = {
    "unpack": Consumers._unpack,
    "subscript": Consumers._subscript,
    "star": Consumers._star,
    "iterate": Consumers._iterate,
    "operand": Consumers._outside,
    "outside": Consumers._outside,
    "isinstance": Consumers._isinstance,
    "columns": Consumers._columns,
    "len": Consumers._len,
    "return": Consumers._nothing,
}
_REFUSALS = {
    "equals": "it is compared with others",
    "sought": "it is sought among others",
    "pairs": "a dict is made of its values",
    "compare": "it is compared with others to order them",
    "hash": "it is put into a set or is the key of a dict",
    "sum": "it is added to others",
    "escape": "it is handed to {}",
    "save": "it is saved by {}",
    "type": "its type is asked for",
    "match": "it is matched against patterns",
    "attribute": "its `{}` is asked for",
    "method": "its `{}` is called",
}
