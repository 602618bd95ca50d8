"""The wall: every state that a detector and its judge can be in, and what its tile says of it."""

import json
import time
from dataclasses import replace

import stack
from deployed import DEPLOY
from promql import filled
from standings import DETECTOR, alarm, standing, with_quality

from monitor.display.standing import Acknowledged
from monitor.quality.alarms import Severity
from monitor.quality.quality import Quality
from monitor.quality.run_acts import RunNow

PAGE, WARNING = alarm("B2"), alarm("C1", Severity.WARNING, id="c")
BOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "calodqm-shift.json").read_text())


def taken(one):
    return Acknowledged(one.id, "Ada", "known", None)


def all_of(quality):
    return with_quality(standing(), **{region.name: quality for region in DETECTOR.regions})


def masked(now, name):
    return replace(now, board=tuple(replace(r, masked=r.name == name) for r in now.board))


GOOD = standing()
STATES = {
    "good": (GOOD, "✓ GOOD"),
    "one region without data": (with_quality(GOOD, A1=Quality.NULL), "? NO DATA"),
    "all regions without data": (all_of(Quality.NULL), "? NO DATA"),
    "a medium region": (with_quality(GOOD, A1=Quality.MEDIUM), "! MEDIUM"),
    "a bad region": (with_quality(GOOD, A1=Quality.BAD, A2=Quality.NULL), "✕ BAD"),
    "a bad region that is masked": (masked(with_quality(GOOD, A1=Quality.BAD), "A1"), "✓ GOOD"),
    "a page": (replace(GOOD, alarms=(PAGE,)), "✕ BAD"),
    "a warning": (replace(GOOD, alarms=(WARNING,)), "! MEDIUM"),
    "a page in hand": (
        replace(with_quality(GOOD, B2=Quality.BAD), alarms=(PAGE,), acknowledged=(taken(PAGE),)),
        "IN HAND",
    ),
    "a page in hand and a warning": (
        replace(GOOD, alarms=(PAGE, WARNING), acknowledged=(taken(PAGE),)),
        "! MEDIUM",
    ),
    "a page in hand, and another": (
        replace(GOOD, alarms=(PAGE, alarm("D1", id="d")), acknowledged=(taken(PAGE),)),
        "✕ BAD",
    ),
    "between runs": (replace(all_of(Quality.NULL), run_now=RunNow.BETWEEN), "– NO RUN"),
}


def tile(url, title="Detector"):
    """Return what Grafana's stat panel shows of an instant query: the mapped text, or noValue."""
    return _shown(url, title)[0]


def colour(url, title):
    """Return the colour behind it: of the mapping, else of the highest threshold that is reached."""
    return _shown(url, title)[1]


def _shown(url, title):
    [panel] = [p for p in BOARD["panels"] if p["title"] == title]
    [target] = panel["targets"]
    assert (target["instant"], target["range"]) == (True, False)
    answer = stack.ask(url, filled(target["expr"]))
    defaults = panel["fieldConfig"]["defaults"]
    lowest, *steps = defaults["thresholds"]["steps"]
    if not answer:
        return defaults["noValue"], lowest["color"]
    [(_, value)] = answer
    mapped = {
        k: v
        for m in defaults.get("mappings", [])
        if m["type"] == "value"
        for k, v in m["options"].items()
    }
    reached = [lowest, *(step for step in steps if value >= step["value"])][-1]
    one = mapped.get(f"{value:g}", {"text": f"{value:g}", "color": reached["color"]})
    return one["text"], one["color"]


def fresh(now, age_s=2):
    return replace(now, data_second=int(time.time()) - age_s)
