"""The dashboards drawn by Grafana's own UI library on a live service with faults, and by its types.

`make dashboards` runs these and leaves the pictures in deploy/screenshots; `make test` does not.
"""

import copy
import io
import json
import subprocess
import time
from urllib.parse import urlencode

import pytest
from chromium import chromium
from deployed import DEPLOY
from faulty import faulty_service, grafana_files
from PIL import Image
from waiting import wait_until

pytestmark = pytest.mark.dashboards
BOARDS = {
    path.stem.removeprefix("calodqm-"): path
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
}
RENDER = DEPLOY / "grafana" / "render"
PICTURES = DEPLOY / "screenshots"
MAY_BE_EMPTY = {
    "Live reference against the certified one",  # there is none in the first minutes
    "Read-out channels at fault, by region",  # this detector says none
    "Read-out channels of open alarms",
    "Read-out channels that can be told dead",
    "Read-out channels left out, and how long others must wait",
}
MOST_BYTES = 300_000


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with faulty_service(tmp_path_factory.mktemp("faulty")) as made, grafana_files() as files:
        worst = made.state()["worst"][0]
        record = "/".join(str(worst[key]) for key in ("topic", "partition", "offset", "row"))
        asked = {
            "prometheus": made.prometheus,
            "from": int(made.began * 1000) + 15_000,
            "to": int(time.time() * 1000),
            "var-page": made.page,
            "var-record": record,
        }
        yield f"{files}/render/www/index.html", asked


@pytest.fixture(scope="module")
def browser():
    with chromium("--hide-scrollbars") as driver:
        yield driver


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_draws_every_panel_on_live_data(name, theme, service, browser):
    page, asked = service
    board = json.loads(BOARDS[name].read_text())
    rows = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in board["panels"])
    frame = browser.execute_script("return outerHeight - innerHeight")
    browser.set_window_size(1920, 38 * rows + 60 + frame)
    browser.get(
        f"{page}?{urlencode(asked | {'theme': theme, 'board': f'/dashboards/{BOARDS[name].name}'})}"
    )
    title = wait_until(lambda: browser.title.startswith("ready") and browser.title, 60)
    told = json.loads(title.removeprefix("ready "))
    assert told["wrong"] == []
    assert set(told["empty"]) <= MAY_BE_EMPTY
    assert told["marks"] > 0
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    width = 1440 if picture.height < 2500 else 1200
    small = picture.resize(
        (width, picture.height * width // picture.width), Image.Resampling.LANCZOS
    )
    kept = PICTURES / f"dashboard-{name}-{theme}.png"
    small.save(kept, optimize=True)
    if kept.stat().st_size >= MOST_BYTES:
        small.quantize(128, dither=Image.Dither.NONE).save(kept, optimize=True)
    assert kept.stat().st_size < MOST_BYTES


def by_grafanas_types(*paths):
    """Return what the JSON Schemas made of Grafana's types find, as lines."""
    done = subprocess.run(
        ["node", "schema.mjs", *map(str, paths)],
        cwd=RENDER, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


def test_the_dashboards_are_what_grafanas_own_types_say():
    *found, summary = by_grafanas_types(*BOARDS.values())
    assert found == []
    assert summary.startswith("4 dashboards, ")


MISTAKES = {
    "key of the dashboard": lambda b: b.update(templatingg={}),
    "number as text": lambda b: b["panels"][0].update(id="1"),
    "grid": lambda b: b["panels"][0]["gridPos"].update(w="wide"),
    "threshold mode": lambda b: first(b, "stat")["fieldConfig"]["defaults"]["thresholds"].update(mode="absolut"),
    "option of a stat": lambda b: first(b, "stat")["options"].update(colourMode="value"),
    "enum of a stat": lambda b: first(b, "stat")["options"].update(colorMode="backround"),
    "drawing of lines": lambda b: first(b, "timeseries")["fieldConfig"]["defaults"]["custom"].update(drawStyle="lines"),
    "legend of lines": lambda b: first(b, "timeseries")["options"]["legend"].update(displayMode="lst"),
    "scale of lines": lambda b: first(b, "timeseries")["fieldConfig"]["defaults"]["custom"].update(scaleDistribution={"type": "logarithm"}),
    "option of the timeline": lambda b: first(b, "state-timeline")["options"].update(mergeValue=True),
    "height of a table's cells": lambda b: first(b, "table")["options"].update(cellHeight="huge"),
}  # fmt: skip


def first(board, kind):
    return next(panel for panel in board["panels"] if panel["type"] == kind)


def test_mistakes_of_structure_are_found_by_grafanas_types(tmp_path):
    board = json.loads(BOARDS["shift"].read_text())
    for what, change in MISTAKES.items():
        changed = copy.deepcopy(board)
        change(changed)
        (tmp_path / f"{what.replace(' ', '-')}.json").write_text(json.dumps(changed))
    found = "\n".join(by_grafanas_types(*sorted(tmp_path.glob("*.json"))))
    missed = [what for what in MISTAKES if what.replace(" ", "-") not in found]
    assert missed == []
