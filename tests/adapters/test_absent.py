"""What is said where a framework is not installed."""

from __future__ import annotations

import sys

import pytest

from runtime_guard import adapters


@pytest.mark.parametrize("name", dir(adapters))
def test_an_adapter_without_its_framework_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, requirement = adapters._ADAPTERS[name]
    monkeypatch.delitem(sys.modules, f"runtime_guard.adapters.{module}", raising=False)
    for loaded in [key for key in sys.modules if key.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError) as caught:
        getattr(adapters, name)
    assert str(caught.value) == f"{name} needs {module}, which is not installed; pip install '{requirement}'"


def test_a_name_that_there_is_not_is_no_adapter() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'KerasGuard'"):
        adapters.KerasGuard  # noqa: B018
