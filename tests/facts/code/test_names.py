"""What a name stands for at a place, and how a dotted path is written there."""

from __future__ import annotations

from textwrap import dedent

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.code.names import Names
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


def source_of(code: str) -> Source:
    return parse(open_document("example.py", dedent(code).encode()))


def uses(source: Source) -> list[cst.Call]:
    """Calls with the keyword `here`, by which these tests mark places."""
    return [
        call
        for call in source.nodes(cst.Call)
        if any(argument.keyword is not None and argument.keyword.value == "here" for argument in call.args)
    ]


def resolved(code: str) -> list[str | None]:
    source = source_of(code)
    return [source.fact(Names).resolve(call.func) for call in uses(source)]


RESOLVED = {
    "an import with an alias": ("import torch.nn.functional as F\nF.softmax(x, here=1)", "torch.nn.functional.softmax"),
    "a plain import of a submodule": ("import torch.nn\ntorch.nn.Linear(here=1)", "torch.nn.Linear"),
    "a name with an alias": ("from torch import log as ln\nln(x, here=1)", "torch.log"),
    "a relative import": ("from ..losses.dice import dice as d\nd(here=1)", "..losses.dice.dice"),
    "an import of the package itself": ("from . import ops\nops.norm(here=1)", ".ops.norm"),
    "an import inside a function": ("def f(x):\n    import torch\n    return torch.log(x, here=1)", "torch.log"),
    "an import of the outer function": (
        "def f():\n    import torch\n    def g(x):\n        return torch.log(x, here=1)",
        "torch.log",
    ),
    "an import for type checkers": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\ntorch.log(here=1)",
        "torch.log",
    ),
    "an alias of a module": ("import torch\nF = torch.nn.functional\nF.elu(here=1)", "torch.nn.functional.elu"),
    "an alias of an alias": ("import torch as t\nn = t.nn\nF = n.functional\nF.elu(here=1)", "torch.nn.functional.elu"),
    "an alias of a function": ("import torch\nlog = torch.log\ndef f(x):\n    return log(x, here=1)", "torch.log"),
    "an alias in a function": ("import torch\ndef f(x):\n    log = torch.log\n    return log(x, here=1)", "torch.log"),
    "a private path of torch": (
        "from torch.nn.modules.activation import Sigmoid\nSigmoid(here=1)",
        "torch.nn.Sigmoid",
    ),
    "a private path through attributes": (
        "import torch\ntorch.utils.data.dataset.Dataset(here=1)",
        "torch.utils.data.Dataset",
    ),
    "a fallback of None": (
        "try:\n    import wandb\nexcept ImportError:\n    wandb = None\nwandb.log(here=1)",
        "wandb.log",
    ),
    "a placeholder of None": (
        "wandb = None\ntry:\n    import wandb\nexcept ImportError:\n    pass\nwandb.log(here=1)",
        "wandb.log",
    ),
    "a fallback that is a function": (
        "try:\n    from torch import log\nexcept ImportError:\n    def log(x): ...\nlog(x, here=1)",
        "torch.log",
    ),
    "alternatives, the first": (
        (
            "try:\n    from torch.amp import autocast\nexcept ImportError:\n    from torch.cuda.amp import autocast\n"
            "autocast(here=1)"
        ),
        "torch.amp.autocast",
    ),
    "alternatives by version": (
        "if NEW:\n    from torch.amp import autocast\nelse:\n    from torch.cuda.amp import autocast\nautocast(here=1)",
        "torch.amp.autocast",
    ),
    "a star import of known names": ("from torch import *\ndef f(x):\n    return log(x, here=1)", "torch.log"),
    "a class's name is not seen by its methods": (
        "from torch import log\nclass A:\n    log = 1\n    def f(self, x):\n        return log(x, here=1)",
        "torch.log",
    ),
    "the first iterable of a comprehension is outside": (
        "from torch import log\n[log for log in log(x, here=1)]",
        "torch.log",
    ),
    "a default is evaluated outside": ("from torch import log\ndef f(log=log(x, here=1)): ...", "torch.log"),
    "a decorator is evaluated outside": (
        "from torch import jit\n@jit.script(here=1)\ndef f(jit): ...",
        "torch.jit.script",
    ),
    "global points past a local": (
        "from torch import log\ndef f(x):\n    def g():\n        global log\n        log(here=1)\n    log = 1",
        "torch.log",
    ),
    "in parentheses": ("import torch\n(torch).log(x, here=1)", "torch.log"),
    "the same import twice": (
        "import torch\ntry:\n    import torch\nexcept ImportError:\n    raise\ntorch.log(here=1)",
        "torch.log",
    ),
}


@pytest.mark.parametrize(("code", "expected"), RESOLVED.values(), ids=RESOLVED)
def test_a_name_is_resolved_through(code: str, expected: str) -> None:
    assert resolved(code) == [expected]


SHADOWED = {
    "a parameter": "def f(F):\n    return F.elu(here=1)",
    "a parameter of a lambda": "g = lambda F: F.elu(here=1)",
    "a starred parameter": "def f(*F):\n    return F.elu(here=1)",
    "an assignment": "def f(x):\n    F = x\n    return F.elu(here=1)",
    "a later assignment, which makes the name local": "def f(x):\n    F.elu(here=1)\n    F = x",
    "an assignment beside the import": "F = make()\nF.elu(here=1)",
    "an unpacking": "def f(x):\n    a, (F, *b) = x\n    return F.elu(here=1)",
    "a starred target": "def f(x):\n    a, *F = x\n    return F.elu(here=1)",
    "a for target": "def f(x):\n    for i, F in x:\n        F.elu(here=1)",
    "with ... as": "def f(x):\n    with x as F:\n        F.elu(here=1)",
    "except ... as": "def f(x):\n    try: ...\n    except E as F:\n        F.elu(here=1)",
    "a comprehension": "def f(x):\n    return [F.elu(here=1) for F in x]",
    "a walrus": "def f(x):\n    return (F := x) and F.elu(here=1)",
    "a walrus in a comprehension, which binds outside": "def f(x):\n    [F := y for y in x]\n    F.elu(here=1)",
    "a nested function": "def f(x):\n    def F(): ...\n    return F.elu(here=1)",
    "a nested class": "def f(x):\n    class F: ...\n    return F.elu(here=1)",
    "an augmented assignment": "def f(x):\n    F += x\n    return F.elu(here=1)",
    "an annotation": "def f(x):\n    F: int\n    return F.elu(here=1)",
    "a match": "def f(x):\n    match x:\n        case [F]:\n            F.elu(here=1)",
    "a starred match": "def f(x):\n    match x:\n        case [*F]:\n            F.elu(here=1)",
    "the rest of a mapping": "def f(x):\n    match x:\n        case {**F}:\n            F.elu(here=1)",
    "global elsewhere": "def g(x):\n    global F\n    F = x\ndef f():\n    F.elu(here=1)",
    "nonlocal": "def f(x):\n    F = 1\n    def g():\n        nonlocal F\n        F.elu(here=1)",
    "another import": "from torchvision.transforms import functional as F\nF.elu(here=1)",
    "a choice of behavior": "import torch\nif c:\n    F = torch.a\nelse:\n    F = torch.b\nF.elu(here=1)",
    "an import inside the function": "def f(x):\n    from mine import F\n    F = F.twice\n    F.elu(here=1)",
    "a type parameter": "def f[F](x):\n    F.elu(here=1)",
    "del": "def f():\n    del F\n    F.elu(here=1)",
    "the class itself, in its body": "class A:\n    F = 1\n    y = F.elu(here=1)",
}


@pytest.mark.parametrize("code", SHADOWED.values(), ids=SHADOWED)
def test_a_name_is_not_resolved_when_it_is_shadowed_by(code: str) -> None:
    assert resolved("import torch.nn.functional as F\n" + code) == [None]


@pytest.mark.parametrize(
    "code",
    [
        "self.log(here=1)",
        "make().log(here=1)",
        "x[0].log(here=1)",
        "F = F\nF.log(here=1)",
        "import a\nb = a\nb = c\nb.log(here=1)",
        "from torch import *\nfrom mine import *\nlog(here=1)",
        "from torch import *\ndef log(x): ...\nlog(here=1)",
        "unknown(here=1)",
    ],
)
def test_what_is_computed_or_ambiguous_has_no_path(code: str) -> None:
    assert resolved(code) == [None]


def test_all_alternatives_are_told() -> None:
    source = source_of("""
        try:
            from torch.amp import autocast
        except ImportError:
            from torch.cuda.amp import autocast
        autocast(here=1)
    """)
    (call,) = uses(source)
    assert source.fact(Names).alternatives(call.func) == ("torch.amp.autocast", "torch.cuda.amp.autocast")


def test_a_circle_of_aliases_ends() -> None:
    assert resolved("import a\nb = a.x\nc = b.y\nb = c.z\nb.log(here=1)") == [None]


LOGSIGMOID = "torch.nn.functional.logsigmoid"


def referenced(code: str, dotted: str = LOGSIGMOID) -> tuple[str, str]:
    """How `dotted` is written at the marked call, and the file with the imports that this takes."""
    source = source_of(code)
    (call,) = uses(source)
    reference = source.fact(Names).reference(dotted, at=call)
    text = source.document.splice(reference.edits).decode()
    parse(open_document("example.py", text.encode()))
    return reference.code, text


EXISTING = {
    "F.logsigmoid": "import torch\nimport torch.nn.functional as F\nf(here=1)",
    "nn.functional.logsigmoid": "import torch\nfrom torch import nn\ndef g(x):\n    f(here=1)",
    "torch.nn.functional.logsigmoid": "import torch\nf(here=1)",
    "t.nn.functional.logsigmoid": "import torch as t\nf(here=1)",
    "functional.logsigmoid": "from torch.nn import functional\nf(here=1)",
    "logsigmoid": "from torch.nn.functional import logsigmoid\nimport torch\nf(here=1)",
    "ls": "from torch.nn.functional import logsigmoid as ls\nf(here=1)",
    "fn.logsigmoid": "import torch\nfn = torch.nn.functional\nf(here=1)",
    "inner.logsigmoid": "def g(x):\n    import torch.nn.functional as inner\n    f(here=1)",
    "optional.logsigmoid": """
        try:
            import torch.nn.functional as optional
        except ImportError:
            optional = None
        def g(x):
            f(here=1)
    """,
}


@pytest.mark.parametrize(("expected", "code"), EXISTING.items(), ids=EXISTING)
def test_an_existing_import_is_used(expected: str, code: str) -> None:
    assert referenced(code) == (expected, dedent(code))


ADDED = {
    "no import at all": ("f(here=1)\n", "import torch.nn.functional as F\n\nf(here=1)\n", "F.logsigmoid"),
    "below the docstring": (
        '"""Doc."""\nf(here=1)\n',
        '"""Doc."""\n\nimport torch.nn.functional as F\nf(here=1)\n',
        "F.logsigmoid",
    ),
    "below __future__": (
        '"""Doc."""\nfrom __future__ import annotations\n\nf(here=1)\n',
        '"""Doc."""\nfrom __future__ import annotations\n\nimport torch.nn.functional as F\n\nf(here=1)\n',
        "F.logsigmoid",
    ),
    "below the header": (
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n\nf(here=1)\n",
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n\nimport torch.nn.functional as F\n\nf(here=1)\n",
        "F.logsigmoid",
    ),
    "sorted in beside its package": (
        "import os\nimport torch.utils.data as data\nfrom torch.optim import Adam\n\nfrom . import x\nf(here=1)\n",
        (
            "import os\nimport torch.nn.functional as F\nimport torch.utils.data as data\n"
            "from torch.optim import Adam\n\n"
            "from . import x\nf(here=1)\n"
        ),
        "F.logsigmoid",
    ),
    "above relative imports": (
        "import os  # why\nfrom . import x\nf(here=1)\n",
        "import os  # why\nimport torch.nn.functional as F\nfrom . import x\nf(here=1)\n",
        "F.logsigmoid",
    ),
    "only relative imports": (
        "from . import x\nf(here=1)\n",
        "import torch.nn.functional as F\n\nfrom . import x\nf(here=1)\n",
        "F.logsigmoid",
    ),
    "above an import of several lines": (
        "from torch import (\n    Tensor,\n    log,\n)\nf(here=1)\n",
        "import torch.nn.functional as F\nfrom torch import (\n    Tensor,\n    log,\n)\nf(here=1)\n",
        "F.logsigmoid",
    ),
    "F is taken": (
        "def g(F):\n    f(here=1)\n",
        "import torch\n\ndef g(F):\n    f(here=1)\n",
        "torch.nn.functional.logsigmoid",
    ),
    "F and torch are taken": (
        "def g(F, torch):\n    f(here=1)\n",
        "import torch.nn.functional as functional_\n\ndef g(F, torch):\n    f(here=1)\n",
        "functional_.logsigmoid",
    ),
    "an import for type checkers does not count": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch.nn.functional as T\nf(here=1)\n",
        (
            "from typing import TYPE_CHECKING\nimport torch.nn.functional as F\n"
            "if TYPE_CHECKING:\n    import torch.nn.functional as T\nf(here=1)\n"
        ),
        "F.logsigmoid",
    ),
    "an import that comes later does not count": (
        "f(here=1)\nimport torch.nn.functional as T\n",
        "import torch.nn.functional as F\n\nf(here=1)\nimport torch.nn.functional as T\n",
        "F.logsigmoid",
    ),
    "a shadowed import does not count": (
        "import torch as t\ndef g(t):\n    f(here=1)\n",
        "import torch as t\nimport torch.nn.functional as F\ndef g(t):\n    f(here=1)\n",
        "F.logsigmoid",
    ),
    "a decorated first function": (
        "@f(here=1)\ndef g(): ...\n",
        "import torch.nn.functional as F\n\n@f(here=1)\ndef g(): ...\n",
        "F.logsigmoid",
    ),
    "no line ending at the end": ("f(here=1)", "import torch.nn.functional as F\n\nf(here=1)", "F.logsigmoid"),
    "two imports in one line": (
        "import os; import sys\nf(here=1)\n",
        "import os; import sys\nimport torch.nn.functional as F\nf(here=1)\n",
        "F.logsigmoid",
    ),
}


@pytest.mark.parametrize(("code", "expected", "written"), ADDED.values(), ids=ADDED)
def test_an_import_is_added(code: str, expected: str, written: str) -> None:
    assert referenced(code) == (written, expected)


def test_an_import_is_added_with_the_line_endings_of_the_file() -> None:
    assert referenced("import os\r\nf(here=1)\r\n")[1] == (
        "import os\r\nimport torch.nn.functional as F\r\nf(here=1)\r\n"
    )


def test_two_references_to_one_module_need_the_identical_edit() -> None:
    source = source_of("import os\nf(here=1)\ndef g():\n    f(here=1)\n")
    first, second = (source.fact(Names).reference(LOGSIGMOID, at=call).edits for call in uses(source))
    assert first == second


@pytest.mark.parametrize(
    ("dotted", "code", "written"),
    [
        ("torch.log", "import torch\nf(here=1)", "torch.log"),
        ("torch.amp.autocast", "import torch\nf(here=1)", "torch.amp.autocast"),
        ("torch.nn.Sigmoid", "import torch.nn as nn\nf(here=1)", "nn.Sigmoid"),
        ("torch.log", "from torch.nn import functional\nf(here=1)", "torch.log"),
        ("runtime_guard.guard", "import runtime_guard\nf(here=1)", "runtime_guard.guard"),
        ("runtime_guard.sinks.text.Text", "import runtime_guard\nf(here=1)", "runtime_guard.sinks.text.Text"),
    ],
)
def test_other_paths_are_written_as_imports_allow(dotted: str, code: str, written: str) -> None:
    assert referenced(code, dotted)[0] == written
