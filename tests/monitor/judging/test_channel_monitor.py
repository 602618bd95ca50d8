"""The monitor names the channel: alarms, masks, known bad ones, verdicts, and the same again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from channel_stream import Stream as Showers
from channel_stream import barrel, dead, noisy, shifted, weak
from streams import GEOMETRY, START, Stream, expectation

from models.detector.known_bad import NEVER_NS, Entry, KnownBad
from monitor.alarms.channel_signs import signs
from monitor.alarms.wording import clock
from monitor.detector.places import Places
from monitor.detector.tree import Level, grid
from monitor.judging.channel_monitor import ChannelMonitor
from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.acknowledgements import Acknowledgement, parse_masks
from monitor.quality.alarms import Alarm, Kind, ReferenceSummary, State
from monitor.quality.quality import Quality
from monitor.quality.reference_acts import Order, ReferenceAct
from monitor.quality.verdicts import Verdict
from monitor.reference.live import LiveSettings
from monitor.sequential import channel_watch
from monitor.verdicts.good_runs import listing, newest
from monitor.windows.channel_table import ChannelTable
from monitor.windows.clock import Clock

SUMMARY = ReferenceSummary("good", "certified", 50_000, "")
CHANNELS = barrel((1, 4), (10, 10))
DETECTOR = replace(grid("calo", 1, 4), channels=CHANNELS)
Change = Callable[..., None]


@dataclass
class Both:
    """Windows of four regions, with sums by channel; a fault is set between seconds."""

    rate: int = 400
    seed: int = 1
    dead: tuple[int, ...] = ()
    change: Change | None = None

    def __post_init__(self) -> None:
        self._windows = Stream(regions=4, rate=400, seed=self.seed)
        self._showers = Showers(CHANNELS, rate=self.rate, seed=self.seed)

    def next(self):
        self._showers.dead = self.dead
        sums = self._showers.second(self.change)
        return replace(self._windows.next(), channels=sums)


def monitor(detector=DETECTOR) -> Monitor:
    reference = expectation(50_000, np.random.default_rng(99))
    return Monitor(detector, GEOMETRY, reference, MonitorSettings())


def play(judge: Monitor, stream: Both, seconds: int) -> list:
    return [said for _ in range(seconds) for said in judge.observe(stream.next())]


def alarms(said) -> list[Alarm]:
    return [record for record in said if isinstance(record, Alarm)]


def verdicts(said) -> list[Verdict]:
    return [record for record in said if isinstance(record, Verdict)]


@pytest.mark.slow
def test_good_data_raise_nothing() -> None:
    judge = monitor()
    assert alarms(play(judge, Both(), 200)) == []


FAULTS = {
    Kind.DEAD: (dead(137), (137,)),
    Kind.NOISE: (noisy(3.0, 137), ()),
    Kind.GAIN: (shifted(-1.0, 137), ()),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAULTS)
def test_a_faulty_channel_is_named_with_its_kind_and_onset(kind: Kind) -> None:
    judge, stream = monitor(), Both()
    play(judge, stream, 60)
    stream.change, stream.dead = FAULTS[kind]
    onset = stream._windows.second
    found = alarms(play(judge, stream, 90))
    assert len({alarm.id for alarm in found}) == 1
    first, last = found[0], found[-1]
    name = CHANNELS.name(137)
    assert (first.level, first.place) == (Level.CHANNEL, name)
    assert [share.name for share in first.channels] == [name]
    assert abs(first.onset_ns / 1e9 - onset) <= 10
    assert last.kind is kind, (last.summary, last.text)
    told = ["in those the energy is off" in alarm.text for alarm in found]
    assert not any(told) if kind is Kind.DEAD else all(told)  # no shower is centred on a dead one
    assert name in last.summary
    assert last.regions[0].name == "A2"


@pytest.mark.slow
def test_a_fault_stays_what_it_was_while_no_shower_comes_near() -> None:
    judge, stream = monitor(), Both()
    play(judge, stream, 60)
    stream.change, stream.dead = dead(137), (137,)
    assert alarms(play(judge, stream, 90))[-1].kind is Kind.DEAD
    patch = CHANNELS.patches(np.array([137], np.uint32))
    stream.dead = tuple(patch[patch >= 0].tolist())  # nothing is centred on those around it either
    begun = stream._windows.second
    later = alarms(play(judge, stream, 400))
    assert later
    (*_, unseen) = later[-1].text.split(" No shower has come near it since ")
    assert clock(begun) <= unseen[:23] <= clock(stream._windows.second)
    assert unseen[23:] == ": the above is of before. The alarm stays open as long as none comes."
    assert later[-1].text.count("No shower has come") == 1
    assert {alarm.kind for alarm in later} == {Kind.DEAD}, [(a.showers, a.summary) for a in later]
    assert all("in 0 showers" not in alarm.text for alarm in later)
    stream.change, stream.dead = None, ()
    cleared = [a for a in alarms(play(judge, stream, 400)) if a.state is State.CLEARED]
    assert cleared
    assert all("No shower has come" not in alarm.text for alarm in cleared)


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True])
def test_conditions_set_aside_what_was_known_before_suspicion(late: bool) -> None:
    judge, stream = monitor(), Both()
    play(judge, stream, 20)
    assert judge.channels is not None
    bank, live, told = judge.channels.watch._bank, judge.channels.live, []
    change, forget = live.change, live.forget
    bank.path[14, 0], bank.onset[14, 0] = 3.0, stream._windows.second - 10

    def changed(key, suspected=None):
        if key != live.key:
            told.append(("change", suspected[14]))
        change(key, suspected)

    def forgotten(since, suspected=None):
        told.append(("forget", suspected[14]))
        forget(since, suspected)

    live.change, live.forget = changed, forgotten
    window = stream.next()
    run = window.key.run if late else window.key.run + 1
    judge.act(ReferenceAct(Order.CONDITIONS, "expert", 1, run=run, key="1200 V"))
    judge.observe(replace(window, key=window.key._replace(run=run)))
    assert [word for word, _ in told] == (["forget", "change"] if late else ["change"])
    assert all(since < channel_watch.NEVER for _, since in told)
    assert live.key == "1200 V"


@pytest.mark.slow
def test_a_dead_card_is_one_alarm_of_the_card() -> None:
    judge, stream = monitor(), Both()
    play(judge, stream, 30)
    name, members = list(CHANNELS.groups.items())[5]
    stream.change, stream.dead = dead(*members.tolist()), tuple(members.tolist())
    found = alarms(play(judge, stream, 60))
    assert {(a.level, a.place) for a in found if a.state is State.UPDATED} == {(Level.GROUP, name)}
    assert len({alarm.id for alarm in found}) == 1
    assert {share.name for share in found[-1].channels} == {CHANNELS.name(c) for c in members}


class Few:
    """The watch over the channels of one small module, without that over regions."""

    def __init__(self, rate: int, seed: int = 1) -> None:
        channels = barrel((1, 1), (6, 6), card=3)
        self.clock = Clock(second=START)
        self.watch = ChannelMonitor(
            channels, Places(replace(grid("calo", 1, 1), channels=channels)),
            expectation(50_000, np.random.default_rng(99)),
            MonitorSettings(live=LiveSettings(quarantine_s=60)), self.clock, lambda: SUMMARY,
        )  # fmt: skip
        self.showers = Showers(channels, rate=rate, seed=seed)

    def play(self, seconds: int, change: Change | None = None) -> set[int]:
        """Return the channels that are named."""
        found, none = set(), np.zeros(1, bool)
        for _ in range(seconds):
            self.clock.second = self.clock.now + 1
            self.clock.tick(1, 1)
            sums = self.showers.second(change)
            told = self.watch.step(self.clock.now, sums, new=True, held=none, distrusted=none)
            found |= {channel for one in told for channel in one.case.channels}
        return found


@pytest.mark.slow
def test_a_small_fault_is_found_though_it_takes_longer_than_what_is_learnt_waits() -> None:
    few = Few(rate=10)
    assert few.play(1300) == set()
    before = few.watch.live.epoch
    assert few.play(3000, weak(-0.025, 14)) == {14}
    assert few.watch.live.epoch > before


@pytest.mark.slow
def test_no_bet_wins_on_average_though_what_is_learnt_ends_where_all_are_suspected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel_watch, "SUSPICION", -1.0)
    won, known = [], []
    for seed in range(6):
        few = Few(rate=20, seed=seed)
        assert few.play(1270) == set()
        tests, everyone = few.watch.watch.tests, np.ones(36, bool)
        known.append(tests.constants.showers[:, 0])
        for _ in range(20):
            table = ChannelTable(36)
            for _ in range(3):
                table.add(few.showers.second())
            won.append(np.exp(tests.log_e(table, everyone).astype(np.float64)))
    assert np.ptp(known) > 0.2 * np.max(known)  # channels end at chunks of their own
    assert (np.mean(won, axis=(0, 1)) < 1.02).all()


@pytest.mark.slow
def test_a_channel_that_is_repaired_after_long_is_good_as_soon_as_its_mask_is_lifted() -> None:
    few = Few(rate=40)
    assert few.play(400) == set()
    few.watch.mask([14])
    few.showers.dead = (14,)
    assert few.play(2500, dead(14)) == set()
    few.watch.mask([])
    few.showers.dead = ()
    assert few.play(300) == set()
    shares = few.watch.live.constants.seeds
    assert shares[14] == pytest.approx(1 / 36, rel=0.1)
    assert shares.sum() == pytest.approx(1, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("part", [0.6, 0.9])
def test_a_masked_channel_that_draws_most_showers_says_nothing_against_the_others(
    part: float,
) -> None:
    few = Few(rate=40)
    few.watch.mask([14])
    few.showers.hot = {14: part}
    assert few.play(1300) == set()
    shares = few.watch.live.constants.seeds
    assert shares[14] == 0
    assert shares.sum() == pytest.approx(35 / 36, rel=0.01)
    few.watch.mask([])
    few.showers.hot = {}
    assert few.play(700) == set()
    shares = few.watch.live.constants.seeds
    assert shares[14] == pytest.approx(1 / 36, rel=0.2)
    assert shares.sum() == pytest.approx(1, rel=0.02)


@pytest.mark.slow
def test_signs_of_a_channel_are_not_those_of_a_masked_one_that_draws_most_showers() -> None:
    few = Few(rate=40)
    few.play(400)
    few.watch.mask([14])
    few.showers.hot = {14: 0.9}
    assert few.play(120) == set()
    watch, constants = few.watch.watch, few.watch.live.constants
    assert constants.seeds[14] > 0
    found = signs(watch.since(few.clock.now - 90), constants, watch.tests.pool, watch.ignored)
    assert np.delete(found.seeds, 14).mean() == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_orders_and_conditions_put_in_force_what_came_before_suspicion() -> None:
    few = Few(rate=20)
    few.play(1300)
    known = few.watch.live.constants.showers[:, 0].copy()
    bank = few.watch.watch._bank
    bank.path[14, 0], bank.onset[14, 0] = 3.0, START + 700
    few.watch.obey(ReferenceAct(Order.ROLLBACK, "expert", 1, since_ns=(START + 1000) * 10**9))
    after = few.watch.live.constants.showers[:, 0]
    assert after[14] < 0.7 * known[14]
    assert (after[:14] > 0.7 * known[:14]).mean() > 0.8
    few.watch.change("1200 V")
    few.watch.change("")
    assert np.array_equal(few.watch.live.constants.showers[:, 0], after)


def beside(channels, n_out):
    """Return the channels in a patch with some, that are not of these."""
    patch = CHANNELS.patches(np.array(sorted(channels), np.uint32))
    near = {int(c) for c in patch.ravel() if c >= 0}
    return tuple(sorted(near - set(channels)))[:n_out]


@pytest.mark.slow
@pytest.mark.parametrize("given", [True, False])
def test_a_dead_card_is_named_though_those_beside_it_show_more(given: bool) -> None:
    channels = CHANNELS if given else replace(CHANNELS, groups={})
    name, members = list(CHANNELS.groups.items())[5]
    gone = tuple(members.tolist())
    around = beside(gone, 40)

    def change(touched) -> None:
        dead(*gone)(touched)
        touched.z[touched.at(*around) & (touched.ring < 2)] *= 4.0  # their showers lack a part

    judge, stream = monitor(replace(DETECTOR, channels=channels)), Both()
    play(judge, stream, 60)
    stream.change, stream.dead = change, gone
    said = alarms(play(judge, stream, 120))
    first = [alarm for alarm in said if alarm.channels and alarm.id == said[0].id]
    named = {channel.channel for channel in first[-1].channels}
    assert named == set(gone)
    assert first[-1].kind is Kind.DEAD
    if given:
        assert first[-1].place == name


@pytest.mark.slow
def test_a_fault_waits_for_no_other_whose_neighbours_go_on_crossing() -> None:
    around = beside((37,), 24)

    def change(touched) -> None:
        dead(37)(touched)
        touched.z[touched.at(*around) & (touched.ring < 2)] *= 4.0  # their showers lack a part
        noisy(2.5, 362)(touched)

    judge, stream = monitor(), Both()
    play(judge, stream, 60)
    stream.change, stream.dead = change, (37,)
    raised = [a for a in alarms(play(judge, stream, 90)) if a.state is State.RAISED]
    assert {a.place for a in raised} == {CHANNELS.name(37), CHANNELS.name(362)}


@pytest.mark.slow
def test_what_shows_later_beside_what_says_nothing_is_the_same_fault() -> None:
    name, members = list(CHANNELS.groups.items())[5]
    gone = tuple(members.tolist())
    around = beside(gone, 40)

    def change(touched) -> None:
        dead(*gone)(touched)
        if stream._windows.second > onset + 60:
            touched.z[touched.at(*around)] *= 6.0  # their showers lack a part

    judge, stream = monitor(), Both()
    play(judge, stream, 60)
    stream.change, stream.dead, onset = change, gone, stream._windows.second
    found = alarms(play(judge, stream, 240))
    assert {a.place for a in found if a.state is not State.RAISED} == {name}
    assert len({a.id for a in found}) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("change", "told"), [(dead(137), True), (noisy(3.0, 137), False)])
def test_what_has_changed_everywhere_explains_no_channel_that_says_nothing(
    change: Change, told: bool
) -> None:
    judge, stream = monitor(), Both()
    play(judge, stream, 60)
    stream.change, stream.dead = change, (137,)
    none, said = np.zeros(4, bool), []
    for second in range(START + 60, START + 120):
        sums = stream.next().channels
        said += judge.channels.step(second, sums, new=True, held=~none, distrusted=none)
    assert [c.case.channels for c in said if c.state is State.RAISED] == [[137]] * told


@pytest.mark.slow
def test_what_fails_together_is_found_where_no_group_is_given() -> None:
    bare = replace(CHANNELS, groups={})
    reference = expectation(50_000, np.random.default_rng(99))
    detector = replace(DETECTOR, channels=bare)
    judge, stream = Monitor(detector, GEOMETRY, reference, MonitorSettings()), Both()
    play(judge, stream, 30)
    block = [100 + 10 * row + column for row in (3, 4, 5) for column in (2, 3, 4, 5)]
    stream.change = shifted(-1.5, *block)
    found = alarms(play(judge, stream, 90))
    assert len({alarm.id for alarm in found}) == 1
    assert {share.channel for share in found[-1].channels} == set(block)


@pytest.mark.slow
def test_a_masked_channel_is_quiet_and_a_new_one_beside_it_alarms() -> None:
    judge, stream = monitor(), Both()
    stream.change, stream.dead = dead(137), (137,)
    (found, *_) = alarms(play(judge, stream, 40))
    masks = parse_masks(found.place, DETECTOR, GEOMETRY)
    said = judge.acknowledge(Acknowledgement(found.id, "Ada", "dead channel", 1, masks))
    assert [a.state for a in alarms(said)] == [State.CLEARED]
    assert judge.masked().channels == (137,)
    assert alarms(play(judge, stream, 60)) == []
    stream.change, stream.dead = dead(137, 138), (137, 138)
    (other, *_) = alarms(play(judge, stream, 60))
    assert other.place == CHANNELS.name(138)


@pytest.mark.slow
def test_what_is_said_to_be_bad_while_it_alarms_ends_its_alarm_and_stands_in_verdicts() -> None:
    known = KnownBad(CHANNELS, ())
    judge, stream = monitor(replace(DETECTOR, known_bad=known)), Both()
    play(judge, stream, 60)
    stream.change, stream.dead = dead(137), (137,)
    raised = [a for a in alarms(play(judge, stream, 200)) if a.state is State.RAISED]
    assert [a.place for a in raised] == [CHANNELS.name(137)]
    known.renew((Entry(CHANNELS.name(137), 0, NEVER_NS, "dead"),))
    said = play(judge, stream, 10)
    assert [a.state for a in alarms(said) if a.id == raised[0].id] == [State.CLEARED]
    assert judge.open_alarms() == ()
    said = [*play(judge, stream, 60), *judge.close()]
    assert not alarms(said)
    row = int(CHANNELS.region[137])
    told = [v for v in verdicts(said) if v.region == row]
    assert told
    assert told[-1].channels == (CHANNELS.name(137),)


@pytest.mark.slow
def test_what_is_known_to_be_bad_stands_in_verdicts_though_nothing_alarms() -> None:
    known = KnownBad(CHANNELS, (Entry(CHANNELS.name(137), 0, NEVER_NS, "dead since 2024"),))
    judge, stream = monitor(replace(DETECTOR, known_bad=known)), Both()
    said = [*play(judge, stream, 50), *judge.close()]
    row = int(CHANNELS.region[137])
    told = [v for v in verdicts(said) if v.region == row]
    assert told
    assert all(v.channels == (CHANNELS.name(137),) for v in told)


@pytest.mark.slow
def test_a_channel_that_is_known_to_be_bad_never_alarms_and_one_beside_it_does() -> None:
    known = KnownBad(CHANNELS, (Entry(CHANNELS.name(137), 0, NEVER_NS, "dead since 2024"),))
    judge, stream = monitor(replace(DETECTOR, known_bad=known)), Both()
    stream.change, stream.dead = dead(137), (137,)
    assert alarms(play(judge, stream, 60)) == []
    stream.change, stream.dead = dead(137, 138), (137, 138)
    (other, *_) = alarms(play(judge, stream, 60))
    assert other.place == CHANNELS.name(138)


@pytest.mark.slow
def test_a_channel_whose_time_in_the_file_is_over_alarms_again() -> None:
    end = (START + 40) * 10**9
    known = KnownBad(CHANNELS, (Entry(CHANNELS.name(137), 0, end, "in repair"),))
    judge, stream = monitor(replace(DETECTOR, known_bad=known)), Both()
    stream.change, stream.dead = dead(137), (137,)
    assert alarms(play(judge, stream, 40)) == []
    (found, *_) = alarms(play(judge, stream, 60))
    assert found.place == CHANNELS.name(137)


@pytest.mark.slow
def test_a_region_stays_good_and_its_verdicts_name_the_channel() -> None:
    judge, stream = monitor(), Both()
    play(judge, stream, 23)
    stream.change, stream.dead = dead(137), (137,)
    said = verdicts([*play(judge, stream, 69), *judge.close()])
    final = newest(said, 1)
    of_region = [v for v in final if v.name == "A2" and v.lumisection >= 3]
    assert {v.quality for v in of_region} == {Quality.GOOD}
    assert {v.channels for v in of_region} == {(CHANNELS.name(137),)}
    assert all(not v.channels for v in final if v.name != "A2")
    told = listing(final)
    (span,) = told["channels"][CHANNELS.name(137)]
    assert span[0] in (1, 2)


@pytest.mark.slow
def test_an_alarm_of_a_channel_clears_when_it_is_well_again() -> None:
    judge, stream = monitor(), Both()
    stream.change = noisy(3.0, 137)
    assert alarms(play(judge, stream, 40))[0].state is State.RAISED
    stream.change = None
    assert alarms(play(judge, stream, 200))[-1].state is State.CLEARED
    assert judge.open_alarms() == ()


@pytest.mark.slow
def test_the_same_trouble_of_a_channel_again_is_one_alarm_that_claims_its_own_time() -> None:
    judge, stream = monitor(), Both()
    stream.change = noisy(3.0, 137)
    (first, *_) = alarms(play(judge, stream, 40))
    stream.change = None
    assert alarms(play(judge, stream, 200))[-1].state is State.CLEARED
    well_until = stream._windows.second
    stream.change = noisy(3.0, 137)
    (again, *_) = alarms(play(judge, stream, 60))
    assert again.id == first.id
    assert again.version > first.version
    assert again.onset_ns / 1e9 >= well_until - 10
    assert judge.view.budget().pages == 1


@pytest.mark.slow
def test_a_restored_monitor_says_the_same() -> None:
    one, other = monitor(), monitor()
    first, second = Both(), Both()
    for stream in (first, second):
        stream.change = dead(7)
    play(one, first, 30)
    other.restore(one.state())
    play(monitor(), second, 30)
    said = [play(judge, stream, 60) for judge, stream in ((one, first), (other, second))]
    assert said[0] == said[1]
    assert one.open_alarms() == other.open_alarms() != ()


def test_a_mask_names_channels_and_groups() -> None:
    (mask,) = parse_masks(CHANNELS.name(137), DETECTOR, GEOMETRY)
    assert (mask.region, mask.cells, mask.channels) == (1, (), (137,))
    card = next(iter(CHANNELS.groups))
    (mask,) = parse_masks(card, DETECTOR, GEOMETRY)
    assert mask.channels == tuple(sorted(CHANNELS.groups[card].tolist()))
    assert parse_masks("A2", DETECTOR, GEOMETRY)[0].whole
    with pytest.raises(ValueError, match="no channel or group is named 'EB9/1'"):
        parse_masks("EB9/1", DETECTOR, GEOMETRY)
