"""The wall says what is so now, in every state that a detector and its judge can be in."""

import json
import time
from dataclasses import replace

import pytest
import stack
from deployed import DEPLOY
from promql import filled
from standings import DETECTOR, alarm, standing, with_quality
from waiting import wait_until

from consumers.http.health import Health
from consumers.http.server import Server
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics, JudgeRole
from monitor.display.standing import Acknowledged
from monitor.quality.alarms import Severity
from monitor.quality.quality import Quality
from monitor.quality.run_acts import RunNow

pytestmark = pytest.mark.timed
PAGE, WARNING = alarm("B2"), alarm("C1", Severity.WARNING, id="c")
BOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "calodqm-shift.json").read_text())


class Judge:
    """A judge's series behind a real server, in whatever state it is put."""

    def __init__(self):
        self._exposition = Exposition("0.1.0")
        self._metrics = JudgeMetrics(self._exposition, DETECTOR, topic="calo.windows.v1")
        self.server = Server(self._exposition, Health())
        self.server.start()

    def stands(self, role, now):
        self._metrics.standing(now)
        self._metrics.state(role)


@pytest.fixture(scope="module")
def judge():
    made = Judge()
    yield made
    made.server.stop()


@pytest.fixture(scope="module")
def url(judge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wall")
    process, url = stack.prometheus(folder, [f"127.0.0.1:{judge.server.port}"])
    yield url
    process.stop()


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
    [panel] = [p for p in BOARD["panels"] if p["title"] == title]
    [target] = panel["targets"]
    assert (target["instant"], target["range"]) == (True, False)
    answer = stack.ask(url, filled(target["expr"]))
    defaults = panel["fieldConfig"]["defaults"]
    if not answer:
        return defaults["noValue"]
    [(_, value)] = answer
    texts = {
        k: v["text"]
        for m in defaults.get("mappings", [])
        if m["type"] == "value"
        for k, v in m["options"].items()
    }
    return texts.get(f"{value:g}", f"{value:g}")


def fresh(now, age_s=2):
    return replace(now, data_second=int(time.time()) - age_s)


@pytest.mark.parametrize("state", STATES)
def test_the_wall_says_how_the_detector_stands(state, judge, url):
    now, text = STATES[state]

    def shown():
        judge.stands(JudgeRole.ACTIVE, fresh(now))
        return tile(url) == text

    wait_until(shown, 20)
    # And it stays: nothing of the state before is left.
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert shown()
        time.sleep(0.2)


def test_a_detector_without_a_single_shower_has_no_data(judge, url):
    judge.stands(JudgeRole.ACTIVE, replace(all_of(Quality.NULL), data_second=None))
    wait_until(lambda: tile(url) == "? NO DATA", 20)


def test_what_was_judged_long_ago_is_stale_whatever_it_was(judge, url):
    judge.stands(JudgeRole.ACTIVE, fresh(GOOD, age_s=300))
    wait_until(lambda: tile(url) == "? STALE", 20)
    assert float(tile(url, "Newest judged data")) >= 300


def test_a_judge_between_runs_is_not_stale(judge, url):
    judge.stands(JudgeRole.ACTIVE, replace(fresh(GOOD, age_s=300), run_now=RunNow.BETWEEN))
    wait_until(lambda: tile(url) == "– NO RUN", 20)


def test_a_judge_that_only_stands_by_is_no_judge(judge, url):
    judge.stands(JudgeRole.ACTIVE, fresh(GOOD))
    wait_until(lambda: tile(url) == "✓ GOOD", 20)
    judge.stands(JudgeRole.STANDBY, None)
    wait_until(lambda: tile(url) == "? NO JUDGE", 20)
    assert tile(url, "Pages open") == "?"


def test_seconds_after_the_judge_has_died_the_wall_says_so(judge, url):
    judge.stands(JudgeRole.ACTIVE, fresh(GOOD))
    wait_until(lambda: tile(url) == "✓ GOOD", 20)
    judge.server.stop()
    wait_until(lambda: tile(url) == "? NO JUDGE", 20)
    assert tile(url, "Newest judged data") == "?"
