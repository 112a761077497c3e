"""What the tests of the adapters share."""

from tests.runtime_guard.conftest import _one_thread  # noqa: F401 - a fixture that every test uses
