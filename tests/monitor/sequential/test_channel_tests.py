"""Tests by channel and by group: e-values under good data, and faults that they find."""

from dataclasses import replace
from itertools import count, product

import numpy as np
import pytest
from channel_stream import Stream, barrel, dead, noisy, shifted, weak

from models.detector.channels import Channels
from monitor.alarms.channel_extents import ChannelExtents, ChannelMoment
from monitor.detector.blocks import Blocks
from monitor.reference.channel_constants import certified, learnt
from monitor.sequential import channel_tests
from monitor.sequential.budget import CHANNELS_SHARE, Allowance
from monitor.sequential.channel_bounds import BOUNDS, ChannelBounds
from monitor.sequential.channel_streams import SCOPES, STREAMS, WEIGHTS
from monitor.sequential.channel_tests import ChannelTests
from monitor.sequential.channel_units import ChannelUnits
from monitor.sequential.channel_watch import NEVER, ChannelWatch
from monitor.sequential.rates import Floors, Test
from monitor.windows.channel_table import ChannelTable

CHANNELS = barrel()
SQUARE_VAR = np.array([2.0, 2.0, 2.0])


def pool_of(channels: Channels) -> np.ndarray:
    return channels.region.astype(np.int64) * len(channels.layers) + channels.layer


def watching(channels: Channels = CHANNELS, step_s: int = 3) -> ChannelWatch:
    units = ChannelUnits(len(channels), channels.groups)
    return ChannelWatch(
        units, pool_of(channels), Allowance().channels_at(units), square_var=SQUARE_VAR,
        floors=Floors(), miscoverage=0.01, step_s=step_s,
    )  # fmt: skip


def taught(watch: ChannelWatch, stream: Stream, seconds: int) -> None:
    table = ChannelTable(len(stream.channels))
    for _ in range(seconds):
        table.add(stream.second())
    watch.adopt(learnt(table, pool_of(stream.channels)), 1)


def crossed_after(watch: ChannelWatch, stream: Stream, change, limit: int = 600) -> tuple[int, int]:
    """Return the seconds until a unit crosses, and which."""
    needed = Allowance().channels_at(watch.units)
    for second in range(limit):
        watch.step(second, stream.second(change), new=True)
        ratio = watch.total() / needed
        if ratio.max() >= 1:
            return second + 1, int(ratio.argmax())
    return limit, -1


def test_the_weights_of_streams_add_up_to_one() -> None:
    assert WEIGHTS.sum() == pytest.approx(1)


def test_the_thresholds_share_one_budget() -> None:
    units = ChannelUnits(len(CHANNELS), CHANNELS.groups)
    false_pages_a_day = (86_400 / Allowance().channels_at(units)).sum()
    assert false_pages_a_day == pytest.approx(CHANNELS_SHARE / 30)


@pytest.mark.slow
@pytest.mark.parametrize("taught_s", [0, 4, 40])  # 4: as few showers as are believed
@pytest.mark.parametrize("rate", [1, 40, 2000])
def test_no_bet_wins_on_average_while_all_is_well(rate: int, taught_s: int) -> None:
    stream = Stream(CHANNELS, rate=rate, seed=3)
    units = ChannelUnits(len(CHANNELS), CHANNELS.groups)
    constants = certified(len(CHANNELS))
    if taught_s:
        table = ChannelTable(len(CHANNELS))
        before = Stream(CHANNELS, rate=2000, seed=4)
        for _ in range(taught_s):
            table.add(before.second())
        constants = learnt(table, pool_of(CHANNELS))
    tests = ChannelTests(
        units, constants, certified(len(CHANNELS)), pool_of(CHANNELS), SQUARE_VAR, Floors(), 0.01
    )
    total, n = np.zeros(len(STREAMS)), 0
    everyone = np.ones(len(CHANNELS), bool)
    for _ in range(60):
        table = ChannelTable(len(CHANNELS))
        table.add(stream.second())
        e = np.exp(tests.log_e(table, everyone).astype(np.float64))
        total += e.sum(0)
        n += len(e)
    assert (total / n < 1.02).all(), dict(zip(STREAMS, total / n, strict=True))


def test_a_group_says_no_more_than_its_channels_together_where_one_is_far_noisier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What covers cells of one shower that are not independent must not be spent on this.
    monkeypatch.setattr(channel_tests, "TOGETHER", channel_tests.INFLATION)
    units, table = ChannelUnits(len(CHANNELS), CHANNELS.groups), ChannelTable(len(CHANNELS))
    members = units.members(len(CHANNELS))
    widths = np.ones(len(CHANNELS))
    widths[members[3]] = 4.0
    table.add(Stream(CHANNELS, rate=2000, widths=widths).second())
    showers = np.full((len(CHANNELS), 3), 1e12)
    own = replace(certified(len(CHANNELS)), showers=showers, square=widths[:, None] ** [2, 2, 2])
    tests = ChannelTests(units, own, own, pool_of(CHANNELS), SQUARE_VAR, Floors(), 0.01)
    log_e = tests.log_e(table, np.ones(len(CHANNELS), bool), capped=False)
    apart, together = log_e[members].sum(0), log_e[len(CHANNELS)]
    bets = [i for i, s in enumerate(STREAMS) if s.test in {Test.LATENT_MEAN, Test.LATENT_SPREAD}]
    assert (together[bets] < apart[bets] + 1e-3 * abs(apart[bets])).all()


@pytest.mark.slow
def test_no_bet_wins_on_average_on_noisy_channels_that_good_is_moved_to_by_order() -> None:
    widths = np.full(len(CHANNELS), 2.5)
    table, later = ChannelTable(len(CHANNELS)), ChannelTable(len(CHANNELS))
    stream = Stream(CHANNELS, rate=2000, seed=5, widths=widths)
    for _ in range(4):
        table.add(stream.second())
    for _ in range(20):
        later.add(stream.second())
    moved = learnt(table, pool_of(CHANNELS))
    units = ChannelUnits(len(CHANNELS), CHANNELS.groups)
    tests = ChannelTests(units, moved, moved, pool_of(CHANNELS), SQUARE_VAR, Floors(), 0.01)
    e = np.exp(tests.log_e(later, np.ones(len(CHANNELS), bool)).astype(np.float64))
    assert (e.mean(0) < 1.02).all(), dict(zip(STREAMS, e.mean(0), strict=True))


def test_a_dead_channel_crosses_and_is_the_one_that_crosses() -> None:
    after, unit = crossed_after(watching(), Stream(CHANNELS, dead=(37,)), dead(37))
    assert unit == 37
    assert after < 30


def test_a_noisy_channel_is_found() -> None:
    after, unit = crossed_after(watching(), Stream(CHANNELS), noisy(2.5, 37))
    assert unit == 37
    assert after < 60


@pytest.mark.slow
@pytest.mark.parametrize("by", [0.5, -0.5])
def test_a_small_shift_is_found_once_the_channel_is_known(by: float) -> None:
    watch = watching()
    taught(watch, Stream(CHANNELS, seed=9), 1000)
    after, unit = crossed_after(watch, Stream(CHANNELS), shifted(by, 37))
    assert unit == 37
    assert after < 200


@pytest.mark.slow
@pytest.mark.parametrize(("by", "limit"), [(0.1, 30), (-0.1, 30), (-0.05, 75), (0.03, 450)])
def test_a_gain_that_has_moved_is_found_by_the_energy_around_its_channel(
    by: float, limit: int
) -> None:
    watch = watching()
    taught(watch, Stream(CHANNELS, seed=9), 1000)
    after, unit = crossed_after(watch, Stream(CHANNELS), weak(by, 37), limit)
    assert unit == 37
    assert after < limit


@pytest.mark.slow
def test_a_small_fault_is_suspected_long_before_it_is_found_in_a_channel_and_in_a_group() -> None:
    watch, stream = watching(), Stream(CHANNELS)
    taught(watch, Stream(CHANNELS, seed=9), 1000)
    members = list(CHANNELS.groups.values())[5].tolist()
    for second in range(30):
        watch.step(second, stream.second(weak(-0.03, 37)), new=True)
    assert watch.total()[37] < Allowance().channels_at(watch.units)[37] / 1e3
    since = watch.suspected()
    assert since[37] < 30
    assert (since < NEVER).mean() < 0.05
    assert (since[members] == NEVER).all()
    for second in range(30, 36):
        watch.step(second, stream.second(weak(-0.03, *members)), new=True)
    assert (abs(watch.suspected()[members] - 30) <= 6).mean() > 0.9


def test_suspicion_begins_with_the_first_stream_and_reaches_the_members_of_a_group() -> None:
    watch = watching()
    bank, group = watch._bank, len(CHANNELS) + 5
    bank.path[37, [3, 13]], bank.onset[37, [3, 13]] = (9.1, 9.0), (900, 100)
    bank.path[group, [3, 13]], bank.onset[group, [3, 13]] = (1.9, 2.1), (300, 400)
    members = watch.units.members(group).tolist()
    bank.path[members[0], 1], bank.onset[members[0], 1] = 4.0, 350
    since = watch.suspected()
    assert since[37] == 100
    assert since[members].tolist() == [350] + [400] * (len(members) - 1)
    assert (np.delete(since, [37, *members]) == NEVER).all()


def test_shares_of_showers_are_held_against_one_another() -> None:
    watch = watching()
    taught(watch, Stream(CHANNELS, seed=9), 300)
    table, everyone = ChannelTable(len(CHANNELS)), np.ones(len(CHANNELS), bool)
    table.add(Stream(CHANNELS).second())
    constants = watch.tests.constants
    # Shares that were learnt while a tenth only of the pool's showers was believed.
    scaled = replace(watch.tests, constants=replace(constants, seeds=constants.seeds / 10))
    log_e = [tests.log_e(table, everyone) for tests in (watch.tests, scaled)]
    assert np.allclose(*log_e, rtol=1e-4, atol=1e-5)


def test_every_bound_from_what_is_learnt_has_its_part_of_the_miscoverage(monkeypatch) -> None:
    watch = watching()
    taught(watch, Stream(CHANNELS, seed=9), 300)
    table, everyone = ChannelTable(len(CHANNELS)), np.ones(len(CHANNELS), bool)
    table.add(Stream(CHANNELS).second())
    usual, bounded = watch.tests.log_e(table, everyone), ChannelBounds.bounded
    read = 0
    for call, side, scope in product(range(4), ("upper", "lower"), range(len(SCOPES))):
        calls = count()

        def moved(self, *args, call=call, side=side, scope=scope, calls=calls):
            out = bounded(self, *args)
            if next(calls) == call and scope < out.n.shape[1]:
                getattr(out, side)[:, scope] *= 1.5
                getattr(out, side)[:, scope] += 0.1
            return out

        monkeypatch.setattr(ChannelBounds, "bounded", moved)
        read += not np.array_equal(watch.tests.log_e(table, everyone), usual)
    # Those on showers and on energy are made where they are used: upper and lower, and lower.
    assert read + 3 == BOUNDS


@pytest.mark.slow
def test_a_gain_that_is_far_off_is_found_before_anything_is_learnt() -> None:
    after, unit = crossed_after(watching(), Stream(CHANNELS), weak(-0.1, 37))
    assert unit == 37
    assert after < 120


@pytest.mark.slow
def test_the_high_voltage_of_a_group_is_found_before_the_gain_of_a_channel() -> None:
    watch = watching()
    taught(watch, Stream(CHANNELS, seed=9), 1000)
    name, members = next(iter(CHANNELS.groups.items()))
    after, unit = crossed_after(watch, Stream(CHANNELS), weak(-0.03, *members))
    assert unit == len(CHANNELS) + list(CHANNELS.groups).index(name)
    assert after < 20


@pytest.mark.slow
def test_the_high_voltage_of_a_group_is_named_though_little_is_known_of_each_channel() -> None:
    watch = watching()
    taught(watch, Stream(CHANNELS, seed=9), 50)
    name, members = next(iter(CHANNELS.groups.items()))
    after, unit = crossed_after(watch, Stream(CHANNELS), weak(-0.03, *members))
    blocks = Blocks(CHANNELS)
    at = ChannelMoment(watch, watch.total(), after, after, np.zeros(len(CHANNELS), bool))
    _, stream_of, onset, _ = watch.leading(unit)
    extent = ChannelExtents(blocks, len(CHANNELS.groups)).extent(
        unit, stream_of, onset, at, np.ones(len(CHANNELS), bool)
    )
    assert (extent.place, set(extent.channels)) == (name, set(members.tolist()))


@pytest.mark.slow
def test_a_channel_that_always_was_off_is_no_fault_once_it_is_known() -> None:
    offsets = np.zeros(len(CHANNELS))
    offsets[37] = 0.25
    watch = watching()
    taught(watch, Stream(CHANNELS, seed=9, offsets=offsets), 1000)
    _, unit = crossed_after(watch, Stream(CHANNELS, offsets=offsets), None, 300)
    assert unit == -1


@pytest.mark.slow
def test_a_group_that_is_a_little_off_is_found_before_any_of_its_channels() -> None:
    watch = watching()
    taught(watch, Stream(CHANNELS, seed=9), 1000)
    name, members = next(iter(CHANNELS.groups.items()))
    after, unit = crossed_after(watch, Stream(CHANNELS), shifted(-0.25, *members))
    assert unit == len(CHANNELS) + list(CHANNELS.groups).index(name)
    assert after < 60


@pytest.mark.slow
def test_a_channel_that_showers_avoid_is_missed_once_its_share_is_known() -> None:
    watch = watching()
    taught(watch, Stream(CHANNELS, seed=9), 300)
    after, unit = crossed_after(watch, Stream(CHANNELS, dead=(37,)), None)
    assert unit == 37
    assert watch.leading(37)[0] is Test.SEEDS
    assert after < 120


def test_a_channel_that_draws_showers_is_found_once_its_share_is_known() -> None:
    watch = watching()
    taught(watch, Stream(CHANNELS, seed=9), 300)
    after, unit = crossed_after(watch, Stream(CHANNELS, hot={37: 0.05}), None)
    assert unit == 37
    assert after < 20


def test_a_channel_that_is_ignored_never_crosses_and_the_one_beside_it_does() -> None:
    watch = watching()
    ignored = np.zeros(len(CHANNELS), bool)
    ignored[37] = True
    watch.arrange(ignored, np.zeros_like(ignored))
    _, unit = crossed_after(watch, Stream(CHANNELS), dead(37), 60)
    assert unit == -1
    _, unit = crossed_after(watch, Stream(CHANNELS), dead(37, 38))
    assert unit == 38


@pytest.mark.slow
def test_a_channel_that_is_ignored_says_nothing_once_its_share_is_known_nor_do_the_others() -> None:
    watch = watching()
    taught(watch, Stream(CHANNELS, seed=9), 300)
    ignored = np.zeros(len(CHANNELS), bool)
    ignored[[37, *np.flatnonzero(CHANNELS.region == 3)[::2]]] = True
    watch.arrange(ignored, np.zeros_like(ignored))
    assert crossed_after(watch, Stream(CHANNELS), None, 90) == (90, -1)
    seeds = [i for i, stream in enumerate(STREAMS) if stream.test is Test.SEEDS]
    assert max(watch.path(stream)[: len(CHANNELS)][ignored].max() for stream in seeds) == 0


@pytest.mark.slow
def test_a_channel_says_how_long_until_it_can_tell() -> None:
    watch = watching()
    stream = Stream(CHANNELS, rate=4)
    for second in range(30):
        watch.step(second, stream.second(), new=True)
    first = watch.tells_after()
    assert (first > 0).all()
    for second in range(30, 600):
        watch.step(second, stream.second(), new=True)
    later = watch.tells_after()
    assert (later == 0).mean() > 0.5
    told = float(np.median(first[later == 0]))
    assert 30 < told < 300


def test_a_restored_watch_goes_on_to_the_same_evidence() -> None:
    one, other = watching(), watching()
    for second in range(10):
        one.step(second, Stream(CHANNELS, seed=second).second(), new=True)
    other.restore(one.state())
    for second in range(10, 20):
        sums = Stream(CHANNELS, seed=second).second(dead(3))
        one.step(second, sums, new=True)
        other.step(second, sums, new=True)
    assert np.array_equal(one.total(), other.total())
    assert np.array_equal(one.tells_after(), other.tells_after())


@pytest.mark.slow
def test_good_data_cross_less_often_than_the_budget_allows() -> None:
    # With a budget of one page in 100 s, by chance 6 of 600 s could; the tests keep far below.
    watch = watching(barrel((1, 1), (5, 5)))
    watch.adopt(certified(25), 1)
    allowance = Allowance(days_per_page=100 / 86_400)
    needed = allowance.channels_at(watch.units)
    stream = Stream(barrel((1, 1), (5, 5)), rate=50, seed=11)
    pages = 0
    for second in range(2000):
        watch.step(second, stream.second(), new=True)
        crossed = watch.total() >= needed
        pages += int(crossed.sum())
        watch.forget(crossed)
    assert pages <= 2000 / 100
