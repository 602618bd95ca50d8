"""The wall says what is so now, in every state that a detector and its judge can be in."""

import time
from dataclasses import replace

import pytest
import stack
from standings import expositions
from waiting import wait_until
from wall import GOOD, STATES, all_of, colour, fresh, tile

from consumers.http.health import Health
from consumers.http.server import Server
from monitor.display.boards.panels import BAD, NULL
from monitor.display.metrics.judge import JudgeRole
from monitor.quality.quality import Quality
from monitor.quality.run_acts import RunNow

pytestmark = pytest.mark.timed


class Judge:
    """The series of a judge, and of a worker that has nothing to do, behind a real server."""

    def __init__(self):
        exposition, _, self._metrics = expositions()
        self.server = Server(exposition, Health())
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
    assert tile(url, "Newest judged data") == "?"


def test_what_was_judged_long_ago_is_stale_whatever_it_was(judge, url):
    judge.stands(JudgeRole.ACTIVE, fresh(GOOD, age_s=300))
    wait_until(lambda: tile(url) == "? STALE", 20)
    assert float(tile(url, "Newest judged data")) >= 300


def test_a_judge_between_runs_is_not_stale(judge, url):
    judge.stands(JudgeRole.ACTIVE, replace(fresh(GOOD, age_s=300), run_now=RunNow.BETWEEN))
    wait_until(lambda: tile(url) == "– NO RUN", 20)
    assert tile(url, "Newest judged data") == "–"
    judge.stands(JudgeRole.ACTIVE, replace(fresh(GOOD), run_now=RunNow.BETWEEN))
    wait_until(lambda: tile(url, "Newest judged data") != "–", 20)
    assert float(tile(url, "Newest judged data")) < 30


def test_that_no_shower_comes_is_a_fault_of_a_run_alone(judge, url):
    judge.stands(JudgeRole.ACTIVE, fresh(GOOD))
    wait_until(
        lambda: (tile(url, "Showers a second"), colour(url, "Showers a second")) == ("0", BAD), 20
    )
    judge.stands(JudgeRole.ACTIVE, replace(fresh(GOOD), run_now=RunNow.BETWEEN))
    wait_until(
        lambda: (tile(url, "Showers a second"), colour(url, "Showers a second")) == ("0", NULL), 20
    )


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
