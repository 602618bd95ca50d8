"""Live constants of channels: learnt under quarantine, taken out again exactly, frozen on order."""

import numpy as np
import pytest
from channel_stream import Stream, barrel, shifted

from monitor.quality.reference_acts import Order, ReferenceAct
from monitor.reference.channel_constants import LEAST
from monitor.reference.live import MARGIN_S, LiveSettings
from monitor.reference.live_channels import LiveChannels
from monitor.reference.quarantine import CHUNK_S

CHANNELS = barrel((1, 1), (6, 6), card=3)
POOL = np.zeros(len(CHANNELS), np.int64)
NOBODY = np.zeros(len(CHANNELS), bool)
SHORT = LiveSettings(quarantine_s=60, horizon_s=900)


def fed(live: LiveChannels, stream: Stream, first: int, last: int, change=None, flagged=NOBODY):
    for second in range(first, last):
        if live.step(second, stream.second(change), flagged):
            live.take_up()


def offsets(by: float = 0.2) -> np.ndarray:
    out = np.zeros(len(CHANNELS))
    out[7] = by
    return out


def test_nothing_is_believed_before_quarantine_is_over() -> None:
    live = LiveChannels(len(CHANNELS), POOL, SHORT)
    fed(live, Stream(CHANNELS, rate=20), 0, CHUNK_S + 59)
    assert not live.constants.known.any()
    fed(live, Stream(CHANNELS, rate=20), CHUNK_S + 59, CHUNK_S + 62)
    assert live.constants.known[:, 1].all()


@pytest.mark.slow
def test_the_offset_of_a_channel_is_learnt_within_its_error() -> None:
    live = LiveChannels(len(CHANNELS), POOL, SHORT)
    fed(live, Stream(CHANNELS, rate=40, offsets=offsets()), 0, 2 * CHUNK_S + 70)
    found = live.constants
    pull = (found.mean[:, :2] - offsets()[:, None]) * np.sqrt(found.showers[:, :2])
    assert abs(pull).max() < 4.5
    assert pull.std() == pytest.approx(1, abs=0.25)


def test_a_channel_that_is_flagged_teaches_nothing_and_its_neighbours_do() -> None:
    live = LiveChannels(len(CHANNELS), POOL, SHORT)
    flagged = NOBODY.copy()
    flagged[7] = True
    fed(live, Stream(CHANNELS, rate=20), 0, CHUNK_S + 70, shifted(3.0, 7), flagged)
    assert not live.constants.known[7].any()
    assert live.constants.known[8, 1]


@pytest.mark.slow
def test_what_was_accepted_is_taken_out_exactly_once_an_alarm_names_it() -> None:
    one, other = (LiveChannels(len(CHANNELS), POOL, SHORT) for _ in range(2))
    flagged = NOBODY.copy()
    flagged[7] = True
    fed(one, Stream(CHANNELS, rate=20), 0, CHUNK_S + 70)
    fed(other, Stream(CHANNELS, rate=20), 0, CHUNK_S + 70, flagged=flagged)
    one.flag([7], 10)
    for name in ("showers", "z", "z_square", "lit", "energy"):
        assert np.array_equal(one.total[name], other.total[name])
    assert np.array_equal(one.exposure, other.exposure)
    assert not one.constants.known[7].any()


@pytest.mark.slow
def test_a_channel_that_is_suspected_learns_from_what_came_before_and_the_others_from_all() -> None:
    one, other = (LiveChannels(len(CHANNELS), POOL, SHORT) for _ in range(2))
    for live in (one, other):
        fed(live, Stream(CHANNELS, rate=20), 0, CHUNK_S + 70)
    before = one.constants
    since = np.full(len(CHANNELS), np.iinfo(np.int64).max)
    since[7] = CHUNK_S + MARGIN_S
    for live in (one, other):
        stream = Stream(CHANNELS, rate=20, seed=2, hot={7: 0.25})
        fed(live, stream, CHUNK_S + 70, 2 * CHUNK_S + 70, shifted(1.0, 7))
    one.take_up(since)
    other.take_up()
    assert other.constants.mean[7, 1] > 0.25
    others = np.arange(len(CHANNELS)) != 7
    for name in ("showers", "mean", "square", "lit", "layer"):
        known, all_of_it = getattr(one.constants, name), getattr(other.constants, name)
        assert np.array_equal(known[7], getattr(before, name)[7])
        assert np.array_equal(known[others], all_of_it[others])
    assert one.constants.seeds[7] == before.seeds[7]
    assert one.constants.seeds[others].sum() == pytest.approx(35 / 36, rel=0.01)


def suspecting(second: int) -> tuple[LiveChannels, np.ndarray]:
    """Return what is in force of three chunks, where channel 7 is suspected from one second on."""
    live = LiveChannels(len(CHANNELS), POOL, SHORT)
    fed(live, Stream(CHANNELS, rate=20, hot={7: 0.1}), 0, 3 * CHUNK_S + 70)
    since = np.full(len(CHANNELS), np.iinfo(np.int64).max)
    since[7] = second
    live.take_up(since)
    return live, since


def test_an_alarm_teaches_no_more_of_a_channel_than_suspicion_had_left() -> None:
    live, _ = suspecting(CHUNK_S + MARGIN_S)
    before, epoch = live.constants, live.epoch
    live.flag([7], 2 * CHUNK_S + MARGIN_S)
    assert live.constants is before
    assert live.epoch == epoch
    live.flag([7], CHUNK_S)
    assert before.known[7].all()
    assert not live.constants.known[7].any()


def test_where_constants_of_each_channel_end_is_restored() -> None:
    live, _ = suspecting(CHUNK_S + MARGIN_S)
    other = LiveChannels(len(CHANNELS), POOL, SHORT)
    other.restore(live.state())
    other.flag([7, 8], 2 * CHUNK_S + MARGIN_S)
    assert other.constants.showers[7, 1] == live.constants.showers[7, 1]
    assert 0 < other.constants.showers[8, 1] < live.constants.showers[8, 1]


def test_a_rollback_and_other_conditions_leave_out_what_is_suspected_too() -> None:
    for act in ("rollback", "change"):
        live, since = suspecting(CHUNK_S + MARGIN_S)
        known = live.constants.showers.copy()
        if act == "change":
            live.change("1200 V", since)
            live.change("")
        else:
            since_ns = (2 * CHUNK_S + 1) * 10**9
            live.obey(ReferenceAct(Order.ROLLBACK, "expert", 1, since_ns=since_ns), since)
        assert np.array_equal(live.constants.showers[7], known[7])
        assert (live.constants.showers[8] > known[8] / 2).all()
        assert live.exposure[7] <= live.exposure[8]


def test_constants_are_taken_up_as_what_is_accepted_grows_by_a_quarter() -> None:
    live = LiveChannels(len(CHANNELS), POOL, SHORT)
    fed(live, Stream(CHANNELS, rate=10), 0, 3 * CHUNK_S + 70)
    assert live.epoch == 3  # chunks are alike: the third is a half more, and no double
    fed(live, Stream(CHANNELS, rate=10), 3 * CHUNK_S + 70, 8 * CHUNK_S + 70)
    assert live.epoch < 8


@pytest.mark.slow
def test_an_alarm_of_one_channel_leaves_the_constants_of_others_in_force() -> None:
    live = LiveChannels(len(CHANNELS), POOL, SHORT)
    fed(live, Stream(CHANNELS, rate=20), 0, CHUNK_S + 70)
    before = live.constants
    fed(live, Stream(CHANNELS, rate=20, seed=2), CHUNK_S + 70, 2 * CHUNK_S + 70, shifted(1.0, 9))
    live.take_up()
    fresh = live.constants
    live.constants = before  # as if it had not grown by enough
    live.flag([7], CHUNK_S + 60)
    assert np.array_equal(live.constants.mean[9], before.mean[9])
    assert not np.array_equal(fresh.mean[9], before.mean[9])
    assert live.constants.showers[7, 1] < fresh.showers[7, 1]


@pytest.mark.slow
def test_an_alarm_of_what_began_after_constants_were_taken_up_leaves_them_all_in_force() -> None:
    live = LiveChannels(len(CHANNELS), POOL, SHORT)
    fed(live, Stream(CHANNELS, rate=20), 0, CHUNK_S + 70)
    before, epoch = live.constants, live.epoch
    for second in range(CHUNK_S + 70, 2 * CHUNK_S + 70):  # it has grown, and nobody takes it up
        live.step(second, Stream(CHANNELS, rate=20, seed=second).second(shifted(1.0, 7)), NOBODY)
    n = live.total["showers"][7, 1]
    live.flag([7], CHUNK_S + 60)
    assert live.total["showers"][7, 1] < n
    assert live.constants is before
    assert live.epoch == epoch


def test_the_share_of_a_channel_is_of_the_time_in_which_it_was_accepted() -> None:
    live = LiveChannels(len(CHANNELS), POOL, SHORT)
    flagged = NOBODY.copy()
    flagged[7] = True
    fed(live, Stream(CHANNELS, rate=20), 0, CHUNK_S, flagged=flagged)
    fed(live, Stream(CHANNELS, rate=20, seed=2), CHUNK_S, 2 * CHUNK_S + 70)
    live.take_up()
    assert live.total["showers"][7, 0] == pytest.approx(CHUNK_S * 20 / 36, rel=0.2)
    assert live.constants.seeds[7] == pytest.approx(1 / 36, rel=0.2)
    live.flag([7], CHUNK_S + 60)
    assert live.exposure[7] == 0


@pytest.mark.slow
def test_frozen_constants_stay_until_they_are_thawed() -> None:
    live = LiveChannels(len(CHANNELS), POOL, SHORT)
    live.obey(ReferenceAct(Order.FREEZE, "expert", 1))
    fed(live, Stream(CHANNELS, rate=20), 0, CHUNK_S + 70)
    assert live.total.n == 0
    live.obey(ReferenceAct(Order.THAW, "expert", 2))
    fed(live, Stream(CHANNELS, rate=20), 400, 400 + CHUNK_S + 70)
    assert live.constants.known.any()


def test_constants_of_other_conditions_are_set_aside_and_taken_up_again() -> None:
    live = LiveChannels(len(CHANNELS), POOL, SHORT)
    fed(live, Stream(CHANNELS, rate=20), 0, CHUNK_S + 70)
    before = live.constants.mean.copy()
    live.change("1200 V")
    assert not live.constants.known.any()
    live.change("")
    assert np.array_equal(live.constants.mean, before)


@pytest.mark.slow
def test_a_rollback_takes_out_what_came_since() -> None:
    live = LiveChannels(len(CHANNELS), POOL, SHORT)
    fed(live, Stream(CHANNELS, rate=20), 0, 2 * CHUNK_S + 70)
    n = live.total.n
    live.obey(ReferenceAct(Order.ROLLBACK, "expert", 1, since_ns=CHUNK_S * 10**9))
    assert 0 < live.total.n < n


def test_few_showers_of_a_channel_teach_nothing() -> None:
    live = LiveChannels(len(CHANNELS), POOL, SHORT)
    fed(live, Stream(CHANNELS, rate=1), 0, CHUNK_S + 70)
    found = live.constants
    assert (found.showers[found.known] >= LEAST).all()
    assert (found.mean[~found.known] == 0).all()


@pytest.mark.slow
def test_a_restored_reference_goes_on_to_the_same_constants() -> None:
    one, other = (LiveChannels(len(CHANNELS), POOL, SHORT) for _ in range(2))
    fed(one, Stream(CHANNELS, rate=20), 0, CHUNK_S + 100)
    one.change("other")
    fed(one, Stream(CHANNELS, rate=20), 500, 620)
    other.restore(one.state())
    for live in (one, other):
        fed(live, Stream(CHANNELS, rate=20, seed=8), 620, 500 + 2 * CHUNK_S)
        live.change("")
    assert np.array_equal(one.constants.mean, other.constants.mean)
    assert one.epoch == other.epoch


@pytest.mark.slow
def test_what_bounds_the_constants_is_moved_by_order_to_what_has_come_since() -> None:
    live = LiveChannels(len(CHANNELS), POOL, SHORT)
    fed(live, Stream(CHANNELS, rate=20), 0, CHUNK_S)
    fed(live, Stream(CHANNELS, rate=20, offsets=offsets(0.8)), CHUNK_S, 2 * CHUNK_S + 5)
    assert (live.centre.mean == 0).all()
    live.anchor(CHUNK_S)
    assert live.centre.mean[7, 1] == pytest.approx(0.8, abs=0.1)
    assert np.array_equal(live.centre.mean, live.constants.mean)
    other = LiveChannels(len(CHANNELS), POOL, SHORT)
    other.restore(live.state())
    assert np.array_equal(other.centre.mean, live.centre.mean)


@pytest.mark.slow
def test_what_lies_beyond_an_earlier_second_that_is_gone_on_at_is_not_believed() -> None:
    live = LiveChannels(len(CHANNELS), POOL, SHORT)
    fed(live, Stream(CHANNELS, rate=20), 0, 2 * CHUNK_S + 70)
    n = live.total.n
    live.turn_back(CHUNK_S + 10)
    assert 0 < live.total.n < n
    fed(live, Stream(CHANNELS, rate=20), CHUNK_S + 10, 2 * CHUNK_S + 80)
    assert live.total.n > n / 2
