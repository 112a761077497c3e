"""Classes of a file, as nodes and as summaries: bases, attributes, methods and what they give back."""

from __future__ import annotations

import pickle
from textwrap import dedent

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.code.branches import Switch
from pipeline_lint.facts.modules import ClassSummary, ClassView, FileClasses, Modules, summarize_classes
from pipeline_lint.facts.outputs.returns import MethodOutputs
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


def source_of(code: str) -> Source:
    return parse(open_document("example.py", dedent(code).encode()))


def view_of(code: str, name: str = "Net") -> ClassView:
    views = source_of(code).fact(Modules).classes
    return next(view for view in views if view.name == name)


def summary_of(code: str) -> FileClasses:
    summary = summarize_classes(source_of(code))
    restored = pickle.loads(pickle.dumps(summary))
    assert isinstance(restored, FileClasses)
    return restored


def class_of(code: str, name: str = "Net") -> ClassSummary:
    found = summary_of(code).find(name)
    assert found is not None
    return found


def outputs_of(body: str, method: str = "forward") -> MethodOutputs:
    indented = "".join(f"        {line}\n" for line in dedent(body).strip("\n").splitlines())
    header = f"import torch\nfrom torch import nn\nclass Net(nn.Module):\n    def {method}(self, x, y, flag=False):\n"
    return class_of(header + indented).outputs[method]


def shapes_of(body: str, method: str = "forward") -> list[str]:
    return [str(output.shape) for output in outputs_of(body, method).outputs]


@pytest.mark.parametrize(
    ("header", "bases"),
    [
        ("from torch import nn\nclass Net(nn.Module)", ("torch.nn.Module",)),
        ("import torch.nn.modules.module as m\nclass Net(m.Module)", ("torch.nn.Module",)),
        ("from .base import Base\nclass Net(Base)", (".base.Base",)),
        ("class Base: ...\nclass Net(Base)", (":Base",)),
        ("class Net(Base)", (":Base",)),
        ("from torch.utils.data import Dataset\nclass Net(Dataset[int])", ("torch.utils.data.Dataset",)),
        ("class Net(make())", ("",)),
        ("from a import A, B\nclass Net(A, B, metaclass=M)", ("a.A", "a.B")),
        ("class Net(*bases)", ()),
        ("class Net", ()),
        ("from a import A\ndef A(): ...\nclass Net(A)", ("",)),
        (
            "try:\n    from a import A\nexcept ImportError:\n    from b import A\nclass Net(A)",
            ("a.A", "b.A"),
        ),
    ],
)
def test_bases_are_named_by_path(header: str, bases: tuple[str, ...]) -> None:
    assert view_of(header + ": ...\n").bases == bases


def test_a_base_is_looked_for_in_the_scopes_around_the_class() -> None:
    code = """
        class Base: ...
        def make():
            class Base: ...
            class Net(Base): ...
    """
    assert view_of(code, "make.Net").bases == (":make.Base",)


def test_a_class_that_inherits_its_own_name_means_another() -> None:
    assert view_of("class Net(Net): ...\n").bases == (":Net",)
    assert view_of("class A:\n    class Net(Net): ...\nclass Net: ...\n", "A.Net").bases == (":Net",)


def test_direct_modules_and_datasets_are_told_apart() -> None:
    module = view_of("import torch\nclass Net(torch.nn.Module): ...\n")
    dataset = view_of("import torch\nclass Net(torch.utils.data.IterableDataset): ...\n")
    assert (module.is_module, module.is_dataset) == (True, False)
    assert (dataset.is_module, dataset.is_dataset) == (False, True)


def test_attributes_are_known_by_what_makes_them() -> None:
    view = view_of("""
        from torch import nn
        class Net(nn.Module):
            def __init__(self, head):
                self.act = nn.Sigmoid()
                self.head = head
                self.norm: nn.Module = nn.BatchNorm1d(3)
                self.both = self.other = nn.ReLU()
            def swap(self):
                self.norm = nn.Identity()
            class Inner:
                def __init__(self):
                    self.act = nn.Tanh()
    """)
    constructors = {name: attribute.constructor for name, attribute in view.attributes.items()}
    assert constructors == {
        "act": "torch.nn.Sigmoid",
        "head": None,
        "norm": None,
        "both": "torch.nn.ReLU",
        "other": "torch.nn.ReLU",
    }


def test_the_class_of_a_node_is_the_innermost() -> None:
    source = source_of("class A:\n    class B:\n        x = 1\ny = 2\n")
    modules = source.fact(Modules)
    inner, outer = modules.classes[1], modules.classes[0]
    assert (outer.name, inner.name) == ("A", "A.B")
    assert modules.class_of(inner.node.body) is inner
    assert modules.class_of(inner.node) is outer
    assert modules.class_of(outer.node) is None


def test_a_method_that_is_defined_under_a_condition_is_a_method() -> None:
    view = view_of("class Net:\n    if NEW:\n        def f(self): ...\n    else:\n        def g(self): ...\n")
    assert set(view.methods) == {"f", "g"}


def test_a_summary_tells_what_a_module_passes_on() -> None:
    summary = summary_of("""
        import os.path
        import torch.nn as nn
        from .net import Net as Network, Other
        from .layers import *
        Alias = Network
        def f():
            from hidden import Secret
    """)
    assert summary.imports == {
        "os": ("os", ""),
        "nn": ("torch.nn", ""),
        "Network": (".net", "Net"),
        "Other": (".net", "Other"),
        "Alias": ("", "Network"),
    }
    assert summary.stars == (".layers",)


@pytest.mark.parametrize(
    ("body", "shapes"),
    [
        ("return x, y", ["a tuple of 2"]),
        ("return (x,)", ["a tuple of 1"]),
        ("return [x, y, x]", ["a list of 3"]),
        ("return x, *y", ["a tuple of at least 2"]),
        ("return", ["nothing"]),
        ("return None", ["nothing"]),
        ("return x", ["`x`"]),
        ("return x + 1", ["a single value"]),
        ("return x + y", ["a single value"]),
        ("return x.sum()", ["a single value"]),
        ("return x.max(1)", ["a single value"]),
        ("return self.f(x)", ["a single value"]),
        ("return (x, y) + (x,)", ["a tuple of 3"]),
        ("return (x,) + y", ["a tuple of at least 1"]),
        ("return [x] * 3", ["a list of 3"]),
        ("return 2 * (x, y)", ["a tuple of 4"]),
        ("return [x] * y", ["a sequence"]),
        ("return x * 2", ["a single value"]),
        ("return {'a': x, 'b': y}", ["a dict with `a`, `b`"]),
        ("return {'a': x, **y}", ["a dict"]),
        ("return {KEY: x}", ["a dict with `KEY`"]),
        ("return dict(a=x)", ["a dict with `a`"]),
        ("return dict(y, a=x)", ["a dict"]),
        ("return [f(z) for z in x]", ["a sequence"]),
        ("return tuple(x)", ["a sequence"]),
        ("out = x, y\nreturn out", ["a tuple of 2"]),
        ("out = [x, y]\nout.append(x)\nreturn out", ["a sequence"]),
        ("out = []\nfor z in x:\n    out.append(z)\nreturn out", ["a sequence"]),
        ("out = (x,)\nif flag:\n    out = (x, y)\nreturn out", ["a tuple of at least 1"]),
        ("out = (x,)\nif flag:\n    out = x\nreturn out", ["`out`"]),
        ("out = (x,)\nout += (y,)\nreturn out", ["`out`"]),
        ("x = (x, y)\nreturn x", ["`x`"]),
        ("out = {'a': x}\nreturn out", ["a dict with `a`"]),
        ("out = {'a': x}\nout['b'] = y\nreturn out", ["a dict"]),
        ("out = {'a': x}\nout.update(y)\nreturn out", ["a dict"]),
        ("a = b\nb = a\nreturn a", ["`a`"]),
        ("return x if flag else (x, y)", ["`x`", "a tuple of 2"]),
        ("return (x if flag else y, x)", ["a tuple of 2"]),
        ("def g():\n    return 1, 2\nh = lambda: (1, 2)\nreturn g", ["`g`"]),
        ("for z in x:\n    if z:\n        return z, y\nraise ValueError", ["a tuple of 2"]),
        ("pass", []),
    ],
)
def test_the_form_of_a_result(body: str, shapes: list[str]) -> None:
    assert shapes_of(body) == shapes


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ("x, y", ("x", "y")),
        ("self.loss, out.logits", ("loss", "logits")),
        ("self.cls_head(x), self.heads['box'](x)", ("cls_head", "box")),
        ("out['mask'], out[0]", ("mask", None)),
        ("out['two words'], out['class']", (None, None)),
        ("x.detach().view(1), torch.flatten(y)", ("x", "y")),
        ("torch.softmax(x, 1), y.sigmoid()", ("softmax", "sigmoid")),
        ("torch.cat([x, y]), x.mean()", (None, None)),
        ("get_boxes(x), self._compute_loss(x)", ("boxes", "loss")),
        ("Linear(3)(x), Output(x)", (None, None)),
        ("int(label), torch.tensor(label2)", ("label", "label2")),
        ("x + y, -x", (None, None)),
        ("None, 3", (None, None)),
        ("super().forward(x), self.forward(y)", (None, None)),
        ("_, _private", (None, "private")),
        ("self(x), (x, y)", (None, None)),
        ("await self.fetch(x), y", ("fetch", "y")),
    ],
)
def test_values_are_called_what_the_code_calls_them(values: str, names: tuple[str | None, ...]) -> None:
    (output,) = outputs_of(f"return {values}").outputs
    assert output.names == names


def test_a_long_value_is_shortened_for_messages() -> None:
    (output,) = outputs_of("return x, some_function(argument_number_one,\n    argument_number_two)").outputs
    assert output.codes[1] == "some_function(argument_number_one, ar..."


@pytest.mark.parametrize(
    ("condition", "switch"),
    [
        ("flag", Switch.ARGUMENT),
        ("not flag", Switch.ARGUMENT),
        ("self.has_aux", Switch.ARGUMENT),
        ("self.mode == 'a'", Switch.ARGUMENT),
        ("self.mode is Mode.train", Switch.ARGUMENT),
        ("len(x) == 0", Switch.ARGUMENT),
        ("y is not None", Switch.ARGUMENT),
        ("flag and x.sum() > 0", Switch.ARGUMENT),
        ("return_weights", Switch.ARGUMENT),
        ("x.sum() > 0", Switch.DATA),
        ("found", Switch.DATA),
        ("len(found) > 0", Switch.DATA),
        ("x.is_cuda", Switch.DATA),
        ("self.training", Switch.MODE),
        ("self.training and flag", Switch.MODE),
        ("torch.jit.is_scripting()", Switch.MODE),
        ("torch.onnx.is_in_onnx_export()", Switch.MODE),
        ("isinstance(found, list)", Switch.MODE),
        ("not return_dict", Switch.LEGACY),
        ("not self.config.return_dict", Switch.LEGACY),
    ],
)
def test_who_decides_a_condition(condition: str, switch: Switch) -> None:
    output = outputs_of(f"if {condition}:\n    return x, y\nreturn x").outputs[0]
    assert [guard.switch for guard in output.guards] == [switch]


ENDING = {
    "a return": ("return x", False),
    "nothing": ("if flag:\n    return x", True),
    "an else": ("if flag:\n    return x\nelse:\n    return y", False),
    "an elif without else": ("if flag:\n    return x\nelif y:\n    return y", True),
    "a raise": ("if flag:\n    return x\nraise ValueError", False),
    "an assert that always fails": ("if flag:\n    return x\nassert False", False),
    "an exit": ("import sys\nif flag:\n    return x\nsys.exit(1)", False),
    "a loop": ("for z in x:\n    return z", True),
    "an endless loop": ("while True:\n    return x", False),
    "an endless loop with a break": ("while True:\n    if flag:\n        break\n    return x", True),
    "a break of an inner loop": ("while 1:\n    for z in x:\n        break\n    return x", False),
    "a with": ("with torch.no_grad():\n    return x", False),
    "a try": ("try:\n    return x\nexcept OSError:\n    pass", True),
    "a try whose handlers leave": ("try:\n    return x\nexcept OSError:\n    raise ValueError from None", False),
    "a finally that leaves": ("try:\n    f(x)\nfinally:\n    return x", False),
    "an else of a try": ("try:\n    f(x)\nexcept OSError:\n    raise\nelse:\n    return x", False),
    "a match": ("match x:\n    case 1:\n        return x", True),
    "a match of everything": ("match x:\n    case 1:\n        return x\n    case _:\n        return y", False),
    "a body in one line": ("if flag: return x\nelse: return y", False),
}


@pytest.mark.parametrize(("body", "is_open"), ENDING.values(), ids=ENDING)
def test_whether_the_end_can_be_reached_behind(body: str, is_open: bool) -> None:
    assert (outputs_of(body).end is not None) is is_open


def test_a_method_that_never_returns_a_value_has_no_open_end() -> None:
    assert outputs_of("if flag:\n    return\nself.x = x").end is None


def test_generators_give_what_they_yield() -> None:
    found = outputs_of("for z in x:\n    yield z, y\nreturn", "__iter__")
    assert found.is_generator
    assert [str(output.shape) for output in found.outputs] == ["a tuple of 2"]


def test_places_are_kept_only_for_what_a_rule_may_show() -> None:
    (single,) = outputs_of("return x").outputs
    (pair,) = outputs_of("return x, y").outputs
    assert single.place is None
    assert pair.place is not None
    assert (pair.place.location.row, pair.place.location.column) == (5, 16)


def test_a_static_method_and_an_optional_annotation_are_noted() -> None:
    found = class_of("""
        class Net(Base):
            @staticmethod
            def forward(x) -> "Tensor | None":
                return x, x
    """).outputs["forward"]
    assert found.is_static
    assert found.is_optional


def test_a_class_without_bases_has_no_outputs() -> None:
    assert class_of("class Net:\n    def forward(self):\n        return 1, 2\n").outputs == {}


def test_a_class_in_parentheses_and_semicolons_is_summarized() -> None:
    found = class_of("class Net(Base): x = 1; y = 2\n")
    assert found.methods == frozenset()
