"""The whole project, read and run on paper once, for all that the rules about outputs ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline_lint.document import UnreadableDocument
from pipeline_lint.documents import open_document
from pipeline_lint.facts.membership import dataset_confidence, module_confidence
from pipeline_lint.facts.module_files import ModuleFiles
from pipeline_lint.facts.project import Project
from pipeline_lint.parsing import with_deep_stack, without_collector
from pipeline_lint.refactor.machine import Machine
from pipeline_lint.refactor.outputs import Target, locate
from pipeline_lint.refactor.program import ClassInfo, FunctionInfo, ModuleCode, read_code


class _Memory:
    """What a reading leaves to the next one of nearly the same files."""

    def __init__(self) -> None:
        self.codes: dict[str, tuple[bytes, ModuleCode | None]] = {}
        self.awake: frozenset[tuple[str, str]] = frozenset()
        """The functions that mattered, by file and name."""


class Reading:
    """The project's code and what reaches what in it; ask for it by `project.fact(Reading)`."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._machine: Machine | None = None

    @property
    def machine(self) -> Machine:
        """The project after everything of interest was evaluated."""
        if self._machine is None:
            memory: _Memory = self._project.memory.setdefault(Reading, _Memory())
            codes = without_collector(_read_all, self._project, memory)
            targets = (*_candidates(self._project), *named_targets(self._project))
            found = (locate(codes, target) for target in targets)
            methods = [(producer.info, producer.function) for producer in found if producer is not None]
            self._machine = without_collector(with_deep_stack, _evaluated, codes, self._project.files, methods, memory)
        return self._machine


def named_targets(project: Project) -> list[Target]:
    """The models whose `forward` may give results with names."""
    return [
        Target(summary, "forward", method.outputs)
        for summary in project.classes()
        if (method := summary.outputs.get("forward")) is not None
        and any(output.shape.kind == "dict" or output.maker for output in method.outputs)
        and module_confidence(project, summary) is not None
    ]


def _candidates(project: Project) -> Iterator[Target]:
    """All methods whose outputs a rule may want to name."""
    for summary in project.classes():
        for name, method in summary.outputs.items():
            judge = module_confidence if name == "forward" else dataset_confidence
            if any(output.is_positional for output in method.outputs) and judge(project, summary) is not None:
                yield Target(summary, name, method.outputs)


def _evaluated(
    codes: Mapping[str, ModuleCode],
    files: ModuleFiles,
    methods: Sequence[tuple[ClassInfo, FunctionInfo]],
    memory: _Memory,
) -> Machine:
    """Runs until one knew from its start which functions matter, and what the others give.

    The first finds them out; after that one, or where an earlier reading left them, there is one more.
    """
    awake: frozenset[FunctionInfo] | None = None
    if memory.awake:
        known = (function for code in codes.values() for function in code.functions.values())
        awake = frozenset(function for function in known if (function.code.path, function.name) in memory.awake)
    machine = Machine(codes, files, methods, awake)
    machine.run()
    if awake is None or not awake.issuperset(machine.interest.awake):
        machine = Machine(codes, files, methods, frozenset(machine.interest.awake))
        machine.run()
    memory.awake |= frozenset((function.code.path, function.name) for function in machine.interest.awake)
    return machine


def _read_all(project: Project, memory: _Memory) -> dict[str, ModuleCode]:
    codes = {}
    for path in project.all_paths():
        data = project.read(path)
        if data is None:
            continue
        if path not in memory.codes or memory.codes[path][0] != data:
            memory.codes[path] = data, _code_of(path, data)
        code = memory.codes[path][1]
        if code is not None:
            code.chosen_names.clear()
            codes[path] = code
    return codes


def _code_of(path: str, data: bytes) -> ModuleCode | None:
    try:
        return read_code(open_document(path, data))
    except UnreadableDocument:
        return None
