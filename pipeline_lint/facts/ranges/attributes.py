"""What the attributes of a class's instances hold, from what the class assigns to them anywhere."""

from __future__ import annotations

from collections import defaultdict

import libcst as cst

from pipeline_lint.source import Source

Assigned = list[cst.BaseExpression | None]


class Attributes:
    """The assignments to `self.name` and to names of class bodies, by class; ask by `source.fact(Attributes)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._assigned: dict[int, dict[str, Assigned]] = defaultdict(lambda: defaultdict(list))
        self._classes = {node.name.value: node for node in source.nodes(cst.ClassDef)}
        if self._classes:
            self._collect()

    def assigned(self, owner: cst.ClassDef, name: str, depth: int = 0) -> Assigned:
        """The expressions that an attribute may have its value from, in the class or else in its bases of this file.

        None among them for a value that no expression gives (`self.count += 1`, an unpacking).
        """
        found = self._assigned.get(id(owner), {}).get(name)
        if found:
            return found
        for base in owner.bases:
            if isinstance(base.value, cst.Name) and depth < 4:
                above = self._classes.get(base.value.value)
                if above is not None and above is not owner:
                    inherited = self.assigned(above, name, depth + 1)
                    if inherited:
                        return inherited
        return []

    def method(self, owner: cst.ClassDef, name: str, depth: int = 0) -> cst.FunctionDef | None:
        """The method of that name, of the class or of its bases in this file."""
        for statement in owner.body.body:
            if isinstance(statement, cst.FunctionDef) and statement.name.value == name:
                return statement
        for base in owner.bases:
            if isinstance(base.value, cst.Name) and depth < 4:
                above = self._classes.get(base.value.value)
                if above is not None and above is not owner:
                    found = self.method(above, name, depth + 1)
                    if found is not None:
                        return found
        return None

    def _collect(self) -> None:
        source = self._source
        for target in source.nodes(cst.AssignTarget):
            assign = source.parent(target)
            value = assign.value if isinstance(assign, cst.Assign) else None
            self._note(target.target, value, target)
        for annotated in source.nodes(cst.AnnAssign):
            if annotated.value is not None:
                self._note(annotated.target, annotated.value, annotated)
        for augmented in source.nodes(cst.AugAssign):
            self._note(augmented.target, None, augmented)
        for loop in source.nodes(cst.For):
            self._note(loop.target, None, loop)
        for item in source.nodes(cst.AsName):
            self._note(item.name, None, item)
        for call in source.nodes(cst.Call):
            match call:
                case cst.Call(
                    func=cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value="register_buffer")),
                    args=[cst.Arg(value=cst.SimpleString() as text), cst.Arg(value=value), *_],
                ):
                    owner = source.enclosing(call, cst.ClassDef)
                    if owner is not None:
                        self._assigned[id(owner)][str(text.evaluated_value)].append(value)

    def _note(self, target: cst.BaseExpression, value: cst.BaseExpression | None, holder: cst.CSTNode) -> None:
        match target:
            case cst.Attribute(value=cst.Name(value="self" | "cls"), attr=cst.Name(value=name)):
                owner = self._source.enclosing(holder, cst.ClassDef)
                if owner is not None:
                    self._assigned[id(owner)][name].append(value)
            case cst.Name(value=name):
                if isinstance(holder, cst.AssignTarget | cst.AnnAssign):
                    statement = holder if isinstance(holder, cst.AnnAssign) else self._source.parent(holder)
                    line = self._source.parent(statement) if statement is not None else None
                    block = self._source.parent(line) if line is not None else None
                    above = self._source.parent(block) if block is not None else None
                    if isinstance(above, cst.ClassDef):
                        self._assigned[id(above)][name].append(value)
            case cst.Tuple(elements=elements) | cst.List(elements=elements):
                values: list[cst.BaseExpression | None] = [None] * len(elements)
                if isinstance(value, cst.Tuple | cst.List) and len(value.elements) == len(elements):
                    values = [element.value for element in value.elements]
                for element, each in zip(elements, values, strict=True):
                    self._note(element.value, each, holder)
