"""The page of a run: all of it is there, and a browser without a network shows it."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from runtime_guard.__main__ import main
from runtime_guard.monitor import all_monitors
from runtime_guard.reading import Picture, Text
from runtime_guard.report.charts import charts_of, laid_out, series_of
from runtime_guard.report.markup import as_html
from runtime_guard.sinks.json_lines import JsonLines
from tests.browser import new_page, num_coloured_pixels, until
from tests.runtime_guard.shown_run import Kinds, train


def exported(*arguments: Any) -> Any:
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "shapes"
    train(folder, monitors=[*all_monitors(), Kinds()], has_black=True)
    return folder


@pytest.fixture(scope="module")
def page(run: Path) -> Iterator[Any]:
    done = exported(run)
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"wrote {run / 'report.html'} (")
    with new_page(offline=True) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((run / "report.html").as_uri())
        yield page
    assert [url for url in asked if not url.startswith("data:")] == [(run / "report.html").as_uri()]


def card(page: Any, title: str) -> Any:
    found = page.locator(".card").filter(has=page.locator("h3", has_text=title)).first
    found.scroll_into_view_if_needed()
    return found


@pytest.mark.parametrize("title", ["loss/cross_entropy", "loss/epoch/cross_entropy", "metrics/accuracy", "Gradients"])
def test_curves_are_drawn(page: Any, title: str) -> None:
    until(lambda: num_coloured_pixels(card(page, title)) > 200, "the curve is painted")


def test_training_is_drawn_beside_validation(page: Any) -> None:
    legend = card(page, "loss/epoch/cross_entropy").locator(".u-legend")
    legend.wait_for()
    assert "train" in legend.inner_text()
    assert "validation" in legend.inner_text()


def test_histograms_are_drawn(page: Any) -> None:
    until(lambda: num_coloured_pixels(card(page, "gradients/histogram/conv1.weight")) > 1000, "bars are painted")


def test_a_picture_of_another_step_is_shown_by_the_slider(page: Any) -> None:
    shown = card(page, "kinds/picture")
    shown.locator("img").wait_for()
    assert shown.locator("img").evaluate("image => image.naturalWidth") == 40
    assert shown.locator(".steps").inner_text().strip() == "step 14"
    shown.locator("input[type=range]").fill("0")
    assert shown.locator(".steps").inner_text().strip() == "step 4"


def test_precision_recall_curves_are_drawn(page: Any) -> None:
    until(lambda: num_coloured_pixels(card(page, "kinds/curve")) > 100, "the curve is painted")


def test_texts_are_rendered(page: Any) -> None:
    card(page, "text/configuration").locator("td", has_text="AdamW").first.wait_for()


def test_settings_stand_beside_final_metrics(page: Any) -> None:
    assert "final/accuracy" in card(page, "Final metrics").inner_text()
    assert "batch_size" in card(page, "Settings").inner_text()


def test_incidents_are_told_with_their_verdict(page: Any, run: Path) -> None:
    incidents = page.locator("details.incident")
    assert incidents.count() == len(list((run / "incidents").iterdir()))
    assert "div made nan" in incidents.first.locator("summary").inner_text()
    assert "x.square()" in incidents.first.locator("pre").inner_text()


def test_the_filter_leaves_what_matches(page: Any) -> None:
    page.locator("#filter").fill("^loss/cross")
    assert page.locator(".card:visible h3").all_inner_texts() == ["loss/cross_entropy"]
    page.locator("#filter").fill("")


# What is wrong with a folder


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    done = exported(tmp_path)
    assert done.exit_code == 1
    assert f"{tmp_path} is not the folder of a run: it has neither readings.jsonl nor incidents" in done.output
    assert not list(tmp_path.iterdir())


def test_a_folder_of_runs_names_them(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "readings.jsonl").write_text('{"step": 0, "loss/loss": 1}\n')
    assert f"it holds 1, name one of them: {tmp_path / 'first'}" in exported(tmp_path).output


def test_a_run_with_nothing_in_it_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "readings.jsonl").touch()
    assert f"{tmp_path} holds nothing to show" in exported(tmp_path).output


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    assert f"'{tmp_path / 'gone'}' does not exist" in exported(tmp_path / "gone").output


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "readings.jsonl").write_text('{"step": 0, "loss/loss": 1}\n')
    done = exported(tmp_path, "-o", tmp_path / "no" / "page.html")
    assert done.exit_code == 1
    assert f"{tmp_path / 'no' / 'page.html'} cannot be written" in done.output


# What the page is made of


def written(folder: Path, *rows: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    """The data in the page of a run in which these rows were written."""
    sink = JsonLines(folder / "readings.jsonl")
    for step, readings in rows:
        sink.write(readings, step)
    sink.close()
    page = exported(folder, "-o", "-").output
    return json.loads(page.split('id="data">')[1].split("</script>")[0])


def test_of_a_step_that_was_run_again_the_later_counts(tmp_path: Path) -> None:
    data = written(tmp_path, (0, {"loss/a": 1.0}), (1, {"loss/a": 2.0}), (2, {"loss/a": 3.0}), (1, {"loss/a": 4.0}))
    assert data["charts"][0]["series"][0]["steps"] == [0, 1, 2]
    assert data["charts"][0]["series"][0]["values"] == [1, 4, 3]


def test_numbers_that_are_not_finite_are_told(tmp_path: Path) -> None:
    data = written(tmp_path, (0, {"loss/a": 1.0}), (1, {"loss/a": math.nan}), (2, {"loss/a": -math.inf}))
    series = data["charts"][0]["series"][0]
    assert series["values"] == [1, None, None]
    assert series["bad"] == [[1, "nan"], [2, "-inf"]]


def test_text_of_a_run_cannot_leave_its_place(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><!-- {{DATA}} <b>bold</b>"
    data = written(tmp_path, (0, {"text/a": Text(evil), f"loss/{evil}": 1.0}))
    assert "<script" not in data["texts"][0]["items"][0]["value"]
    assert "&lt;b&gt;bold" in data["texts"][0]["items"][0]["value"]


@pytest.mark.parametrize("text", ["[x](javascript:alert)", "<img src=x onerror=alert(1)>", "![x](http://a)", "<a:b>"])
def test_markup_that_could_do_harm_stays_text(text: str) -> None:
    assert not any(tag in as_html(text) for tag in ("<a ", "<img", "<script"))


def test_pictures_that_are_gone_or_elsewhere_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"not the run's")
    run = tmp_path / "run"
    picture = Picture(lambda: np.zeros((2, 2, 3), np.uint8), "black")
    assert written(run, (0, {"a/b": picture}))["pictures"][0]["items"][0]["value"]["source"]
    (file,) = (run / "pictures").iterdir()
    file.unlink()
    assert written(run)["pictures"][0]["items"][0]["value"]["source"] is None
    (run / "readings.jsonl").write_text(
        '{"step": 0, "a/b": {"kind": "Picture", "file": "../secret.png", "caption": ""}}\n'
    )
    assert written(run)["pictures"][0]["items"][0]["value"]["source"] is None


def test_a_line_that_a_killed_run_cut_off_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "readings.jsonl").write_text('{"step": 0, "loss/a": 1}\n{"step": 1, "lo')
    assert written(tmp_path)["charts"][0]["series"][0]["steps"] == [0]


def test_keys_that_differ_in_their_last_part_share_a_chart() -> None:
    keys = ["loss/a", "loss/epoch/a/train", "loss/epoch/a/validation", "norm/x", "norm/x/conv", "norm/x/head"]
    found = charts_of({key: {0: 1.0} for key in keys})
    shown = {chart.title: [series.name for series in chart.series] for chart in found}
    assert shown == {
        "loss/a": ["a"],
        "loss/epoch/a": ["train", "validation"],
        "norm/x": ["x"],
        "norm/x/*": ["conv", "head"],
    }


def test_a_layout_takes_whole_keys() -> None:
    scalars = {"loss/a": {0: 1.0}, "loss/a/b": {0: 1.0}}
    (chart,) = laid_out({"All": {"Loss": ["loss/a"], "None": ["absent"], "Broken": ["("]}}, scalars)
    assert [series.name for series in chart.series] == ["loss/a"]


def test_a_long_curve_keeps_its_peaks() -> None:
    random.seed(0)
    by_step = {step: random.random() for step in range(50_000)}
    by_step[33_333], by_step[44_444] = 9.0, math.nan
    series = series_of("a", by_step, most=1000)
    assert len(series.steps) <= 1000
    assert series.steps == sorted(set(series.steps))
    assert series.values[series.steps.index(33_333)] == 9.0
    assert series.values[series.steps.index(44_444)] is None
    assert series.bad == [(44_444, "nan")]
