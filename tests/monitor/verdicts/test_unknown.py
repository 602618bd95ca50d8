"""Showers that the model knows nothing of: counted, NULL in words, and no reason for any alarm."""

from dataclasses import replace

import numpy as np
import pytest
from streams import GEOMETRY, Stream, expectation

from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.alarms import Alarm
from monitor.quality.quality import Quality
from monitor.quality.verdicts import Verdict


def beyond(window, regions, share=1.0):
    """Return a window in which a share of the showers of some regions are none that are known."""
    rows = np.isin(window.regions, regions)
    n = window.showers.sum(1)
    taken = np.where(rows, np.rint(n * share).astype(np.int64), 0)
    part = 1 - taken / np.maximum(n, 1)
    changed = {}
    for name in ("showers", "exceedances", "p_counts", "z_sum", "z_square", "lit", "layer_energy"):
        counts = getattr(window, name)
        scaled = np.rint(counts * part.reshape(-1, *[1] * (counts.ndim - 1))).astype(np.int64)
        changed[name] = scaled
    return replace(window, **changed, unknown=window.unknown + n - changed["showers"].sum(1))


@pytest.fixture(scope="module")
def judged():
    """Return what is said while all showers of region 2, and a tenth of region 3, are unknown."""
    stream = Stream()
    judge = Monitor(
        stream.detector, GEOMETRY, expectation(50_000, np.random.default_rng(5)), MonitorSettings()
    )
    said = []
    for second in range(100):
        window = stream.next()
        if second >= 23:
            window = beyond(beyond(window, [2]), [3], 0.1)
        said += judge.observe(window)
    return judge, said


@pytest.mark.slow
def test_they_are_no_alarm_neither_strange_nor_silent(judged):
    _, said = judged
    assert [record.summary for record in said if isinstance(record, Alarm)] == []


def test_a_region_of_them_is_null_and_says_why(judged):
    _, said = judged
    verdicts = {
        (v.lumisection, v.region): v for v in said if isinstance(v, Verdict) and v.lumisection == 3
    }
    struck = verdicts[3, 2]
    assert struck.quality is Quality.NULL
    assert struck.reason.startswith("unknown: ")
    assert "showers outside of the energies and conditions that the model knows" in struck.reason
    part = verdicts[3, 3]
    assert part.quality is Quality.GOOD
    assert "showers outside of" in part.reason
    assert verdicts[3, 4].reason == ""


def test_the_board_shows_them(judged):
    judge, _ = judged
    board = {region.region: region for region in judge.standing().board}
    assert board[2].quality is Quality.NULL
    assert "outside of the energies and conditions" in board[2].reason
    assert board[4].quality is Quality.GOOD


def test_they_outlive_a_change_of_judges(judged):
    judge, _ = judged
    reference = expectation(50_000, np.random.default_rng(5))
    heir = Monitor(judge.places.detector, GEOMETRY, reference, judge.settings)
    heir.restore(judge.state())
    assert heir.standing().board == judge.standing().board
