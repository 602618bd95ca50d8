"""Every board in its states, drawn by Grafana's own UI library and kept as a picture a board.

`make dashboards` runs this, as it does test_rendered; `make test` does not.
"""

import contextlib
import io
import json
import time
from dataclasses import replace
from urllib.parse import urlencode

import pytest
import stack
from chromium import chromium
from counting import Detector
from deployed import DEPLOY
from faulty import grafana_files
from PIL import Image, ImageDraw, ImageFont
from standings import DETECTOR
from waiting import wait_until
from wall import BOARD, GOOD, STATES, all_of, tile

from monitor.display.metrics.judge import JudgeRole
from monitor.quality.quality import Quality
from monitor.quality.run_acts import RunNow

pytestmark = pytest.mark.dashboards
WIDTH, TALL = 960, 210
"""Of a state's part of the picture, pixels."""

FURTHER = {
    "no shower yet, or none judged": (replace(all_of(Quality.NULL), data_second=None), "? NO DATA"),
    "judged five minutes ago": (GOOD, "? STALE"),
    "between runs, last data five minutes ago": (
        replace(all_of(Quality.NULL), run_now=RunNow.BETWEEN),
        "– NO RUN",
    ),
    "the judge stands by, or is dead": (GOOD, "? NO JUDGE"),
}
QUIET = {"no shower yet, or none judged", "between runs, last data five minutes ago"}
"""States in which no shower comes."""

OTHERS = {
    name: path
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
    if (name := path.stem.removeprefix("calodqm-")) != "shift"
}
SHOWN = ("good", "a page in hand, and another", "all regions without data", *FURTHER)
"""States in which the other boards differ."""


@pytest.fixture(scope="module")
def detector():
    made = Detector(showers=25, every_s=0.5).start()  # some 800 a second
    yield made
    made.stop()


@pytest.fixture(scope="module")
def prometheus(detector, tmp_path_factory):
    target = f"127.0.0.1:{detector.server.port}"
    process, url = stack.prometheus(tmp_path_factory.mktemp("wall"), [target])
    yield url
    process.stop()


def put(detector, name, now):
    """Let a detector and its judge be in a state."""
    detector.standing = now
    detector.age_s = 300 if "five minutes" in name else 1
    detector.role = JudgeRole.STANDBY if "stands by" in name else JudgeRole.ACTIVE
    nobody_comes = name in QUIET
    detector.silent = {region.name for region in DETECTOR.regions} if nobody_comes else set()
    detector.strange = {"B2": 0.02} if "a page" in name else {}


def test_the_wall_is_drawn_in_each_of_its_states(detector, prometheus):
    wait_until(lambda: stack.ask(prometheus, "region:calodqm_showers_scored:rate1m > 0"), 60)
    rows = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in BOARD["panels"])
    parts = []
    with grafana_files() as files, chromium("--hide-scrollbars") as browser:
        browser.set_window_size(1920, 38 * rows + 60)
        for name, (now, text) in (STATES | FURTHER).items():
            put(detector, name, now)
            with contextlib.suppress(AssertionError):  # the picture shows what it is
                wait_until(lambda text=text: tile(prometheus) == text, 20)
            time.sleep(2)
            picture = drawn(browser, files, prometheus, "calodqm-shift.json")
            parts.append((name, picture.crop((0, 40, picture.width, 40 + 2 * TALL))))
            assert tile(prometheus) == text
    keep(together(parts, WIDTH, 2), "wall-states-dark.png")


def test_the_other_boards_are_drawn_in_the_states(detector, prometheus):
    parts = {name: [] for name in OTHERS}
    with grafana_files() as files, chromium("--hide-scrollbars") as browser:
        frame = browser.execute_script("return outerHeight - innerHeight")
        for state in SHOWN:
            now, text = (STATES | FURTHER)[state]
            put(detector, state, now)
            wait_until(lambda text=text: tile(prometheus) == text, 20)
            time.sleep(8)  # for curves
            for name, path in OTHERS.items():
                panels = json.loads(path.read_text())["panels"]
                rows = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels)
                browser.set_window_size(1920, 38 * rows + 60 + frame)
                parts[name].append((state, drawn(browser, files, prometheus, path.name)))
    for name, pictures in parts.items():
        keep(together(pictures, 640, 3), f"{name}-states-dark.png")


def drawn(browser, files, url, board):
    """Return the picture of a board, in which every panel is drawn."""
    now = int(time.time() * 1000)
    asked = {
        "theme": "dark", "board": f"/dashboards/{board}", "prometheus": url,
        "from": now - 120_000, "to": now,
    }  # fmt: skip
    browser.get(f"{files}/render/www/index.html?{urlencode(asked)}")
    title = wait_until(lambda: browser.title.startswith("ready") and browser.title, 60)
    assert json.loads(title.removeprefix("ready "))["wrong"] == []
    return Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")


def keep(picture, name):
    kept = DEPLOY / "screenshots" / name
    picture.quantize(256, dither=Image.Dither.NONE).save(kept, optimize=True)
    assert kept.stat().st_size < 900_000


def together(parts, width, columns):
    """Return the pictures of every state, so many side by side, with the name of the state above."""
    tall = max(picture.height * width // picture.width for _, picture in parts) + 30
    rows = -(-len(parts) // columns)
    sheet = Image.new("RGB", (columns * width, rows * tall), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(18)
    for i, (name, picture) in enumerate(parts):
        x, y = i % columns * width, i // columns * tall
        small = (width, picture.height * width // picture.width)
        sheet.paste(picture.resize(small, Image.Resampling.LANCZOS), (x, y + 30))
        pen.text((x + 8, y + 4), name, "black", font)
    return sheet
