"""What people are shown: the worst first, an alarm before the board, acknowledged ones quiet."""

import json
from dataclasses import replace

import numpy as np
import pytest
from standings import alarm, standing, with_quality

from monitor.display.plain import plain
from monitor.display.standing import HELD, Acknowledged, headline, state
from monitor.quality.alarms import Severity
from monitor.quality.quality import Quality
from monitor.quality.run_acts import RunNow


def taken(one):
    return Acknowledged(one.id, "night shift", "known", None)


def test_a_good_day_says_so_with_the_number_of_regions():
    assert headline(standing()) == (Quality.GOOD, "All 16 regions good")


def test_a_page_is_bad_and_tells_its_summary():
    page = alarm("B2")
    assert headline(standing(alarms=(page,))) == (Quality.BAD, page.summary)


def test_a_page_comes_before_a_warning_and_counts_the_rest():
    several = (
        alarm("D1", Severity.WARNING, id="d"),
        alarm("B2"),
        alarm("C1", Severity.WARNING, id="c"),
    )
    assert headline(standing(alarms=several)) == (
        Quality.BAD,
        "B2: hot cell middle[5,6] and 2 more",
    )


def test_a_warning_alone_is_medium():
    assert headline(standing(alarms=(alarm("B2", Severity.WARNING),)))[0] is Quality.MEDIUM


def test_what_is_in_hand_does_not_shout_as_on_the_wall():
    page, other = alarm("B2"), alarm("C1", Severity.WARNING, id="c")
    now = with_quality(standing(alarms=(page,), acknowledged=(taken(page),)), B2=Quality.BAD)
    assert headline(now) == (HELD, f"In hand: {page.summary}")
    assert state(now)["quality"] == "held"
    assert state(now)["board"][5]["quality"] == "bad"
    both = replace(now, alarms=(page, other))
    assert headline(both) == (Quality.MEDIUM, other.summary)


def test_null_never_hides_a_bad():
    now = with_quality(standing(), A1=Quality.NULL, B2=Quality.BAD)
    assert headline(now)[0] is Quality.BAD
    assert headline(with_quality(standing(), A1=Quality.NULL)) == (
        Quality.NULL,
        "A1: not enough data",
    )


def test_many_regions_are_not_all_listed():
    names = {f"A{i}": Quality.MEDIUM for i in range(1, 5)} | {"B1": Quality.MEDIUM}
    assert headline(with_quality(standing(), **names))[1] == "A1, A2, A3, A4 and 1 more: medium"


def test_where_all_regions_are_masked_nothing_is_watched():
    now = standing()
    masked = tuple(replace(row, masked=True, quality=Quality.NULL) for row in now.board)
    now = replace(now, board=masked)
    assert headline(now) == (Quality.NULL, "All regions are masked: nothing is watched")
    assert state(now)["quality"] == "null"


def test_without_data_nothing_is_claimed():
    assert headline(standing(data_second=None)) == (Quality.NULL, "No data yet")


def test_between_runs_the_headline_says_so_unless_an_alarm_is_open():
    now = with_quality(standing(run_now=RunNow.BETWEEN), A1=Quality.BAD)
    assert headline(now) == (Quality.NULL, f"No run; the last was {now.run}")
    assert headline(replace(now, alarms=(alarm("B2"),)))[0] is Quality.BAD


def test_the_state_is_json_and_carries_who_took_an_alarm():
    page = alarm()
    shown = json.loads(
        json.dumps(state(standing(alarms=(page,), acknowledged=(taken(page),))), allow_nan=False)
    )
    assert shown["alarms"][0]["taken"]["who"] == "night shift"
    assert shown["budget"]["allowed"] == pytest.approx(3.2 / 30)
    assert len(shown["history"]["second"]) == len(shown["history"]["expected"]) == 600


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), None),
        (float("inf"), None),
        (np.array([1.5, np.nan]), [1.5, None]),
        (2**53, 2**53),
        (2**53 + 1, "9007199254740993"),
        (Quality.BAD, "bad"),
        ((1, (2, None)), [1, [2, None]]),
    ],
)
def test_values_become_what_a_browser_reads_exactly(value, shown):
    assert plain(value) == shown


def test_the_page_is_not_sent_what_it_does_not_draw():
    assert standing().latents is not None
    assert state(standing())["latents"] is None
