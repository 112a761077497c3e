"""Headless Chromium, for tests that look at what a person sees; where there is none they say so and are skipped."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CANDIDATES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
"""Containers run as root, for whom Chromium has no sandbox, and with little shared memory."""
LIMIT_S = 20.0


@contextmanager
def new_page(*, offline: bool = False) -> Iterator[Any]:
    """A page of 1400 by 900 pixels. Fails the test when a script of the page raises."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, CANDIDATES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(CANDIDATES)} is installed")
    with playwright.sync_playwright() as running:
        try:
            browser = running.chromium.launch(executable_path=program, args=OPTIONS)
        except playwright.Error as error:
            pytest.skip(f"{program} does not start: {error}")
        context = browser.new_context(viewport={"width": 1400, "height": 900}, offline=offline)
        page = context.new_page()
        page.set_default_timeout(1000 * LIMIT_S)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        browser.close()
    assert not errors


def until(is_so: Callable[[], bool], what: str) -> None:
    """Asks again and again; a chart is painted some time after its element is there."""
    deadline = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: not so after {LIMIT_S:.0f} s"
        time.sleep(0.1)


def num_coloured_pixels(element: Any) -> int:
    """How many pixels of an element are neither white, grey nor black."""
    from PIL import Image

    pixels = Image.open(io.BytesIO(element.screenshot())).convert("HSV")
    return sum(pixels.getchannel("S").histogram()[60:])
