"""Classes across files: imports followed on paper, circles, layouts, and files that were not given."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.modules import ClassSummary, summarize_classes
from pipeline_lint.facts.project import Project
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source

KEY = f"{summarize_classes.__module__}.{summarize_classes.__qualname__}"
ROOTS = {"torch.nn.Module"}
WriteFiles = Callable[..., Path]


def summarized(path: str, code: str) -> Any:
    return summarize_classes(parse(open_document(path, dedent(code).encode())))


def project_of(files: dict[str, str]) -> Project:
    return Project({path: {KEY: summarized(path, code)} for path, code in files.items()})


def class_in(project: Project, path: str, name: str = "Net") -> ClassSummary:
    summary = project.summary(summarize_classes, path)
    assert summary is not None
    found = summary.find(name)
    assert found is not None
    return found


BASE = "import torch\nclass Base(torch.nn.Module): ...\n"
LAYOUTS = {
    "one file": {"net.py": BASE + "class Net(Base): ...\n"},
    "a relative import": {"p/base.py": BASE, "p/net.py": "from .base import Base\nclass Net(Base): ...\n"},
    "a relative import of a module": {"p/base.py": BASE, "p/net.py": "from . import base\nclass Net(base.Base): ...\n"},
    "an import from above": {"p/base.py": BASE, "p/q/net.py": "from ..base import Base\nclass Net(Base): ...\n"},
    "a script beside its module": {"base.py": BASE, "net.py": "from base import Base\nclass Net(Base): ...\n"},
    "an absolute import": {"p/base.py": BASE, "p/q/net.py": "from p.base import Base\nclass Net(Base): ...\n"},
    "an attribute of an import": {"p/base.py": BASE, "q/net.py": "import p.base\nclass Net(p.base.Base): ...\n"},
    "an alias of a module": {"p/base.py": BASE, "q/net.py": "import p.base as b\nclass Net(b.Base): ...\n"},
    "an alias of a class": {"base.py": BASE, "net.py": "from base import Base as B\nclass Net(B): ...\n"},
    "a src layout": {"src/p/base.py": BASE, "tests/net.py": "from p.base import Base\nclass Net(Base): ...\n"},
    "a package that passes on": {
        "p/base.py": BASE,
        "p/__init__.py": "from .base import Base\n",
        "q/net.py": "from p import Base\nclass Net(Base): ...\n",
    },
    "a package that passes on under another name": {
        "p/base.py": BASE,
        "p/__init__.py": "from .base import Base as Root\n",
        "q/net.py": "import p\nclass Net(p.Root): ...\n",
    },
    "a star": {"p/base.py": BASE, "p/net.py": "from .base import *\nclass Net(Base): ...\n"},
    "stars through a package": {
        "p/a/base.py": BASE,
        "p/a/__init__.py": "from .base import *\n",
        "p/__init__.py": "from .a import *\nfrom .b import *\n",
        "p/b.py": "x = 1\n",
        "net.py": "from p import *\nclass Net(Base): ...\n",
    },
    "stars in a circle": {
        "p/__init__.py": "from .a import *\nfrom .b import *\n",
        "p/a.py": "from p import *\nfrom .b import *\n",
        "p/b.py": "from p import *\nfrom .a import *\n" + BASE,
        "net.py": "from p import Base\nclass Net(Base): ...\n",
    },
    "a star of torch itself": {
        "p/base.py": "from torch.nn import *\n",
        "net.py": "from p.base import Module\nclass Net(Module): ...\n",
    },
    "a class in a class": {
        "base.py": "import torch\nclass Outer:\n    class Base(torch.nn.Module): ...\n",
        "net.py": "from base import Outer\nclass Net(Outer.Base): ...\n",
    },
    "a local alias": {"net.py": BASE + "Root = Base\nclass Net(Root): ...\n"},
    "an imported alias": {"base.py": BASE + "Root = Base\n", "net.py": "from base import Root\nclass Net(Root): ...\n"},
    "several files in a row": {
        "a.py": BASE,
        "b.py": "import a\nclass Middle(a.Base): ...\n",
        "c.py": "from b import Middle\nclass Other: ...\nclass Net(Other, Middle): ...\n",
        "net.py": "from c import Net as Last\nclass Net(Last): ...\n",
    },
    "a package hides a module of its name": {
        "base/__init__.py": BASE,
        "base.py": "class Base: ...\n",
        "net.py": "from base import Base\nclass Net(Base): ...\n",
    },
    "an import that may fail": {
        "base.py": BASE,
        "net.py": "try:\n    from c import Base\nexcept OSError:\n    from base import Base\nclass Net(Base): ...\n",
    },
    "a folder without an init": {"p/q/base.py": BASE, "net.py": "from p.q.base import Base\nclass Net(Base): ...\n"},
}


@pytest.mark.parametrize("files", LAYOUTS.values(), ids=LAYOUTS)
def test_a_base_is_found_through(files: dict[str, str]) -> None:
    project = project_of(files)
    path = next(path for path in files if path.endswith("net.py"))
    assert project.is_subclass(class_in(project, path), ROOTS)


NOT_FOUND = {
    "a class that inherits itself": {"net.py": "class Net(Net): ...\n"},
    "classes that inherit each other": {"net.py": "class Net(Other): ...\nclass Other(Net): ...\n"},
    "imports in a circle": {
        "a.py": "from b import Base\n",
        "b.py": "from a import Base\n",
        "net.py": "from a import Base\nclass Net(Base): ...\n",
    },
    "a name that leads to itself": {
        "p/__init__.py": "from p.a import a\n",
        "net.py": "from p import a\nclass Net(a.Base): ...\n",
    },
    "missing modules imported with stars": {
        "p/__init__.py": "".join(f"from .m{i} import *\nfrom p import *\n" for i in range(8)),
        "net.py": "from p import *\nclass Net(Base): ...\n",
    },
    "packages that import each other with stars": {
        **{
            f"p/m{i}/__init__.py": "".join(f"from ..m{j} import *\nfrom .m{j} import *\n" for j in range(8))
            for i in range(8)
        },
        "net.py": "from p.m0 import *\nclass Net(Base): ...\n",
    },
    "a file that is not there": {"net.py": "from .base import Base\nclass Net(Base): ...\n"},
    "too many dots": {"net.py": "from .....base import Base\nclass Net(Base): ...\n"},
    "a computed base": {"net.py": "class Net(make(Base)): ...\n"},
    "a name that a module lacks": {"base.py": "x = 1\n", "net.py": "from base import Base\nclass Net(Base): ...\n"},
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("files", NOT_FOUND.values(), ids=NOT_FOUND)
def test_a_search_ends_without_a_class_for(files: dict[str, str]) -> None:
    project = project_of(files)
    assert not project.is_subclass(class_in(project, "net.py"), ROOTS)


def test_the_lineage_says_what_is_outside_and_what_is_unknown() -> None:
    project = project_of(
        {
            "net.py": """
            import abc
            from framework.models import Model
            from .missing import Base
            class Net(Model, abc.ABC, Base, make(), Exception): ...
        """
        }
    )
    lineage = project.lineage(class_in(project, "net.py"))
    assert lineage.external == ("framework.models.Model", "abc.ABC")
    assert lineage.unresolved == (".missing.Base", "")
    assert lineage.unknown == ("framework.models.Model", ".missing.Base", "")


def test_paths_of_torch_are_canonical() -> None:
    project = project_of({"net.py": "import torch.nn.modules.linear\nclass Net(torch.nn.modules.linear.Linear): ...\n"})
    assert project.lineage(class_in(project, "net.py")).external == ("torch.nn.Linear",)


def test_a_class_is_found_by_its_path() -> None:
    project = project_of({"p/base.py": BASE, "net.py": "class Net: ...\n"})
    found = project.find_class("p.base.Base", "net.py")
    assert found is not None
    assert (found.path, found.name) == (str(Path("p/base.py")), "Base")
    assert project.find_class("p.base.Other", "net.py") is None
    assert project.find_class(":Net", "net.py") == class_in(project, "net.py")


class Disk:
    """Reads summaries from files and remembers which were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def load(self, path: str, summarize: Callable[[Source], Any]) -> Any:
        self.asked.append(path)
        try:
            data = Path(path).read_bytes()
        except OSError:
            return None
        return summarize(parse(open_document(path, data)))


@pytest.mark.parametrize("name", LAYOUTS)
def test_files_that_were_not_given_are_read_when_a_base_is_in_them(name: str, project: WriteFiles) -> None:
    files = LAYOUTS[name]
    project({**files, "pyproject.toml": ""})
    path = next(path for path in files if path.endswith("net.py"))
    alone = Project({path: {KEY: summarized(path, files[path])}}, load=Disk().load, exists=os.path.exists)
    assert alone.is_subclass(class_in(alone, path), ROOTS)


def test_the_result_is_the_same_from_any_folder(project: WriteFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"src/p/base.py": BASE, "src/p/q/net.py": "from p.base import Base\nclass Net(Base): ...\n"}
    root = project({**files, "pyproject.toml": ""})
    monkeypatch.chdir(root / "src/p/q")
    for path in ("net.py", str(root / "src/p/q/net.py"), "../q/net.py"):
        alone = Project(
            {path: {KEY: summarized(path, files["src/p/q/net.py"])}}, load=Disk().load, exists=os.path.exists
        )
        assert alone.is_subclass(class_in(alone, path), ROOTS)


def test_nothing_above_the_project_is_read(project: WriteFiles) -> None:
    root = project(
        {
            "pyproject.toml": "",
            "base.py": BASE,
            "inner/pyproject.toml": "",
            "inner/p/net.py": "from base import Base\nclass Net(Base): ...\n",
        }
    )
    path = "inner/p/net.py"
    disk = Disk()
    alone = Project({path: {KEY: summarized(path, (root / path).read_text())}}, load=disk.load, exists=os.path.exists)
    assert not alone.is_subclass(class_in(alone, path), ROOTS)
    assert all(asked.startswith("inner") for asked in disk.asked)


def test_no_file_is_asked_for_on_account_of_packages_that_are_not_there(project: WriteFiles) -> None:
    project({"pyproject.toml": ""})
    disk = Disk()
    code = "import torch, numpy, framework\nclass Net(framework.Model, torch.nn.Module, numpy.ndarray): ...\n"
    alone = Project({"a/b/net.py": {KEY: summarized("a/b/net.py", code)}}, load=disk.load, exists=os.path.exists)
    assert alone.is_subclass(class_in(alone, "a/b/net.py"), ROOTS)
    assert disk.asked == []


def test_a_file_that_cannot_be_read_leaves_the_base_unknown(project: WriteFiles) -> None:
    code = "from base import Base\nclass Net(Base): ...\n"
    project({"base.py": BASE, "net.py": code})
    alone = Project({"net.py": {KEY: summarized("net.py", code)}}, load=lambda *_: None, exists=os.path.exists)
    assert alone.lineage(class_in(alone, "net.py")).unknown == ("base.Base",)


def test_a_given_file_is_not_read_again(project: WriteFiles) -> None:
    files = {"base.py": BASE, "net.py": "from base import Base\nclass Net(Base): ...\n"}
    project(files)
    disk = Disk()
    both = Project(
        {path: {KEY: summarized(path, code)} for path, code in files.items()}, load=disk.load, exists=os.path.exists
    )
    assert both.is_subclass(class_in(both, "net.py"), ROOTS)
    assert disk.asked == []


def test_a_file_is_read_once(project: WriteFiles) -> None:
    code = "from base import Base\nclass Net(Base): ...\nclass Other(Base): ...\n"
    project({"base.py": BASE, "net.py": code})
    disk = Disk()
    alone = Project({"net.py": {KEY: summarized("net.py", code)}}, load=disk.load, exists=os.path.exists)
    assert alone.is_subclass(class_in(alone, "net.py"), ROOTS)
    assert alone.is_subclass(class_in(alone, "net.py", "Other"), ROOTS)
    assert disk.asked == ["base.py"]


def test_the_order_of_the_files_does_not_matter() -> None:
    files = {"b.py": BASE, "a.py": "x = 1\n", "c/d.py": BASE}
    forward = [found.path for found in project_of(files).classes()]
    backward = [found.path for found in project_of(dict(reversed(files.items()))).classes()]
    assert forward == backward == ["b.py", "c/d.py"]
