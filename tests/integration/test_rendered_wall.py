"""The wall in each of its states, drawn by Grafana's own UI library and kept as one picture.

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
            told = drawn(browser, files, prometheus)
            assert told["wrong"] == []
            picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
            parts.append((name, picture))
            assert tile(prometheus) == text
    kept = DEPLOY / "screenshots" / "wall-states-dark.png"
    together(parts).quantize(256, dither=Image.Dither.NONE).save(kept, optimize=True)
    assert kept.stat().st_size < 600_000


def drawn(browser, files, url):
    now = int(time.time() * 1000)
    asked = {
        "theme": "dark", "board": "/dashboards/calodqm-shift.json", "prometheus": url,
        "from": now - 120_000, "to": now,
    }  # fmt: skip
    browser.get(f"{files}/render/www/index.html?{urlencode(asked)}")
    title = wait_until(lambda: browser.title.startswith("ready") and browser.title, 60)
    return json.loads(title.removeprefix("ready "))


def together(parts):
    """Return the tiles of every state, two side by side, with the name of the state above."""
    sheet = Image.new("RGB", (2 * WIDTH, (len(parts) + 1) // 2 * (TALL + 30)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(18)
    for i, (name, picture) in enumerate(parts):
        x, y = i % 2 * WIDTH, i // 2 * (TALL + 30)
        top = picture.crop((0, 40, picture.width, 40 + 2 * TALL))
        sheet.paste(top.resize((WIDTH, TALL), Image.Resampling.LANCZOS), (x, y + 30))
        pen.text((x + 8, y + 4), name, "black", font)
    return sheet
