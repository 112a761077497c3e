"""Takes the pictures in docs/pictures/ anew: trains the guarded examples, and looks at them in a browser.

    python -m docs.screenshots

Needs Chromium, and some minutes. What is drawn differs a little from time to time, so that no test compares it.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser import new_page, num_coloured_pixels, until

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
CLASSIFY = ROOT / "examples" / "guarded" / "classify.py"
RUNS = {"good": ("--lr", "0.003"), "rate too high": ("--lr", "0.3")}
_WIDTH = 1100


def main() -> None:
    """Trains, and takes the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        for name, options in RUNS.items():
            print(f"training: {name}")
            command = [sys.executable, str(CLASSIFY), "--logdir", str(Path(folder, name)), *options]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        with served(folder) as url, new_page() as page:
            take_all(page, url)


def take_all(page: Any, url: str) -> None:
    """One picture after the other."""
    page.set_viewport_size({"width": 1400, "height": 1010})
    page.goto(f"{url}#custom_scalars")
    charts = page.locator("tf-custom-scalar-multi-line-chart-card")
    charts.first.wait_for()
    for chart in range(6):
        line = charts.nth(chart).locator("vz-line-chart2")
        until(lambda line=line: num_coloured_pixels(line) > 50, "the curves are painted")
    page.wait_for_timeout(1500)
    save("dashboard", page.screenshot())
    for name, tag in (("worst_samples", "extreme_batches/worst/train"), ("heat_maps", "grad_cam/worst/validation")):
        page.goto(f"{url}?tagFilter=^{tag}$&runFilter=^good$#timeseries")
        picture = page.locator("image-card img").first
        picture.wait_for()
        until(
            lambda picture=picture: picture.evaluate("image => image.complete && image.naturalWidth") > 300,
            "it is loaded",
        )
        source = picture.get_attribute("src")
        with_bytes = page.request.get(source if source.startswith("http") else url + source.lstrip("/"))
        save(name, with_bytes.body())


def save(name: str, data: bytes) -> None:
    """As a small PNG of few colours."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    if picture.width > _WIDTH:
        picture = picture.resize((_WIDTH, round(picture.height * _WIDTH / picture.width)), Image.Resampling.LANCZOS)
    path = PICTURES / f"{name}.png"
    picture.quantize(128, Image.Quantize.MEDIANCUT).save(path, optimize=True)
    print(f"wrote {path.relative_to(ROOT)}, {path.stat().st_size // 1024} KiB")


@contextmanager
def served(folder: str) -> Iterator[str]:
    """The address of a TensorBoard server."""
    command = [sys.executable, "-m", "runtime_guard", "tensorboard", folder, "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        try:
            yield next(match[0] for line in server.stdout if (match := re.search(r"http://127\S+", line)))
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
