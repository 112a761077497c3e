"""What a person sees of a run in TensorBoard: a real training, a real server, a real browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import new_page, num_coloured_pixels, until
from tests.runtime_guard.shown_run import train

ROOT = Path(__file__).parents[2]
PICTURES = (
    "classification/confusion/validation",
    "extreme_batches/worst/train",
    "extreme_batches/best/train",
    "grad_cam/worst/validation",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "shapes"
    guard = train(folder, has_black=True)
    assert guard.incidents
    return folder


@pytest.fixture(scope="module")
def url(run: Path) -> Iterator[str]:
    """Of the server that `runtime-guard tensorboard` starts."""
    command = [sys.executable, "-m", "runtime_guard", "tensorboard", str(run), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        said: list[str] = []
        watchdog = threading.Timer(60, server.kill)
        watchdog.start()
        try:
            for line in server.stdout:
                said.append(line)
                if (match := re.search(r"http://\S+", line)) and "127.0.0.1" in line:
                    break
            else:
                pytest.fail("TensorBoard did not start:\n" + "".join(said))
            watchdog.cancel()
            yield match[0]
        finally:
            watchdog.cancel()
            server.terminate()


@pytest.fixture(scope="module")
def page(url: str) -> Iterator[Any]:
    until(lambda: bool(asked(url, "scalars/tags")), "the server has read the run")
    with new_page() as page:
        page.goto(url)
        yield page


def asked(url: str, path: str, **payload: Any) -> Any:
    data = json.dumps(payload).encode() if payload else None
    request = urllib.request.Request(f"{url}data/plugin/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


@pytest.mark.parametrize(
    ("path", "tag"),
    [
        ("scalars/tags", "loss/cross_entropy"),
        ("scalars/tags", "loss/epoch/cross_entropy/validation"),
        ("scalars/tags", "gradients/norm"),
        ("scalars/tags", "optimizer/lr/0"),
        ("histograms/tags", "gradients/histogram/conv1.weight"),
        *(("images/tags", tag) for tag in PICTURES),
        ("pr_curves/tags", "classification/pr_curve/circle/validation"),
        ("text/tags", "text/configuration/text_summary"),
    ],
)
def test_the_server_has_what_the_monitors_wrote(url: str, path: str, tag: str) -> None:
    until(lambda: bool(asked(url, path)), "the server has read the run")
    assert set(asked(url, path)) == {"."}, "it is one run"
    assert tag in asked(url, path)["."]


def test_the_server_has_the_hyperparameters_with_the_final_metrics(url: str) -> None:
    until(lambda: bool(asked(url, "scalars/tags")), "the server has read the run")
    query = {"experimentName": "", "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_RUNNING"]}
    query |= {"colParams": [], "startIndex": 0, "sliceSize": 10}
    (group,) = asked(url, "hparams/session_groups", **query)["sessionGroups"]
    assert group["hparams"]["batch_size"] == 16
    values = {metric["name"]["tag"]: metric["value"] for metric in group["metricValues"]}
    assert 0 < values["final/accuracy"] < 1


def test_the_server_has_the_layout(url: str) -> None:
    until(lambda: bool(asked(url, "scalars/tags")), "the server has read the run")
    assert asked(url, "custom_scalars/layout")["category"]


def opened(page: Any, url: str, dashboard: str) -> None:
    page.goto(f"{url}#{dashboard}")


def card(page: Any, url: str, kind: str, tag: str) -> Any:
    """A tag's card on the page of time series, which shows no other."""
    page.goto(f"{url}?tagFilter=^{tag}$#timeseries")
    found = page.locator(kind)
    found.wait_for()
    assert found.get_by_title(tag).count() or tag in found.inner_text()
    return found


def test_curves_are_drawn(page: Any, url: str) -> None:
    curve = card(page, url, "scalar-card", "loss/cross_entropy")
    until(lambda: num_coloured_pixels(curve) > 200, "the curve is painted")


def test_histograms_are_drawn(page: Any, url: str) -> None:
    histogram = card(page, url, "histogram-card", "gradients/histogram/conv1.weight")
    until(lambda: num_coloured_pixels(histogram) > 1000, "the histogram is painted")


@pytest.mark.parametrize("tag", PICTURES)
def test_pictures_are_shown(page: Any, url: str, tag: str) -> None:
    picture = card(page, url, "image-card", tag).locator("img")
    until(lambda: picture.evaluate("image => image.complete && image.naturalWidth") > 300, "the picture is loaded")
    until(lambda: num_coloured_pixels(picture) > 500, "the picture is painted")


def test_precision_recall_curves_are_drawn(page: Any, url: str) -> None:
    opened(page, url, "pr_curves")
    card = page.locator("tf-pr-curve-card").first
    card.wait_for()
    until(lambda: num_coloured_pixels(card.locator("vz-line-chart2")) > 50, "the curve is painted")


def test_hyperparameters_stand_beside_the_final_metrics(page: Any, url: str) -> None:
    opened(page, url, "hparams")
    table = page.locator("tf-hparams-table-view")
    table.wait_for()
    for text in ("batch_size", "16.000", "final/accuracy"):
        table.get_by_text(text, exact=True).first.wait_for()


def test_texts_are_rendered(page: Any, url: str) -> None:
    opened(page, url, "text")
    page.locator("tf-text-loader", has_text="text/configuration").locator("td", has_text="AdamW").first.wait_for()


def test_one_page_holds_the_layout(page: Any, url: str) -> None:
    opened(page, url, "custom_scalars")
    chart = page.locator("tf-custom-scalar-multi-line-chart-card vz-line-chart2").first
    chart.wait_for()
    until(lambda: num_coloured_pixels(chart) > 50, "the curves are painted")
