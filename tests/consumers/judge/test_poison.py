"""No record on any topic ends the judge, or its successor: each is a dead letter, and it goes on."""

import re
from dataclasses import replace

import numpy as np
import poison
import pytest
from memory import CountingMonitor, MemoryBroker, MemorySource
from prometheus_client import generate_latest
from spoken import FORM, entry, window

from consumers.exactly_once.snapshots import NOTHING, Snapshots
from consumers.judge.judge import Judge
from consumers.judge.models import JudgingModel
from consumers.judge.passed_over import MOST_PASSED
from consumers.judge.settings import JudgeSettings
from consumers.judge.state_form import arrays_of
from consumers.wire import letters, ranges, topics
from consumers.wire.ranges import Open, Stream
from monitor.detector.tree import grid
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics
from monitor.quality.rejection import Rejection

ONE = Stream("t", "", 1)
DETECTOR = grid("calo", sectors=2, regions_per_sector=4)
WINDOWS = dict(poison.windows_topic()) | dict(poison.acts())
LYING = dict(poison.windows())


class Office:
    """A broker with a partition in good hands, and a judge that can be replaced."""

    def __init__(self):
        self.broker = MemoryBroker()
        self.exposition = Exposition("test")
        self.exposition.expect(topics.READ)
        self.metrics = JudgeMetrics(self.exposition, DETECTOR, topic=topics.WINDOWS)
        self.monitor_of = CountingMonitor
        self.begin = 10
        self.say(ranges.encode_open(Open(1, "w", "t")))
        self.replace()

    def replace(self, **settings):
        source = MemorySource(self.broker, topics.WINDOWS, most=100)
        source.give(0)

        def judging_model_of(model):
            return JudgingModel(model, model, FORM, np.full((3, 3), 0.1), self.make)

        told = JudgeSettings("j", "m", "f", snapshot_s=1e9, show_s=1e9, **settings)
        clients = self.broker.clients(source)
        self.judge = Judge(judging_model_of, clients, told, self.metrics, lambda *_: None)

    def make(self):
        return self.monitor_of(DETECTOR)

    def say(self, value, key="t/1"):
        return self.broker.append(topics.WINDOWS, value, key, 0)

    def range(self, second):
        told = entry(token=0, begin=self.begin, end=self.begin + 10, watermark_ns=second * 10**9)
        self.begin += 10
        return self.say(ranges.encode_range(told, [window(second, second, [1, 4])], FORM))

    def step(self):
        for _ in range(4):
            self.judge._step()

    @property
    def letters(self):
        return [letters.decode(r.value) for r in self.broker.topics[topics.REJECTS, 0]]

    @property
    def state(self):
        return self.judge._state

    def refused(self, reason):
        self.judge._count()
        shown = generate_latest(self.exposition.registry).decode()
        return float(re.search(rf'ranges_refused_total{{reason="{reason}"}} (\S+)', shown)[1])

    def undigested(self, topic):
        shown = generate_latest(self.exposition.registry).decode()
        return float(re.search(rf'undigested_total{{topic="{topic}"}} (\S+)', shown)[1])


@pytest.fixture
def office():
    office = Office()
    office.range(1)
    return office


@pytest.mark.parametrize("name", WINDOWS)
def test_poison_on_the_windows_topic_is_a_dead_letter_and_the_judge_goes_on(name, office):
    at = office.say(WINDOWS[name])
    office.range(2)
    office.step()
    (letter,) = office.letters
    assert (letter.topic, letter.partition, letter.offset) == (topics.WINDOWS, 0, at)
    assert letter.detail
    assert office.state.fence.ends == {ONE: 30}
    assert office.undigested(topics.WINDOWS) == 1
    office.judge._snapshot()
    office.replace()  # the successor meets it no more
    office.range(3)
    office.step()
    assert office.state.fence.ends == {ONE: 40}


@pytest.mark.parametrize("name", LYING)
def test_windows_that_lie_are_a_dead_letter_and_count_nothing(name, office):
    office.step()
    before = office.state.totals.copy()
    value = LYING[name]
    told = ranges.header(value)
    at = office.say(value)
    assert office.state.fence.ends == {ONE: 20}
    assert told.begin == 10
    office.state.fence.ends[ONE], office.state.fence.tokens[ONE] = told.begin, told.token
    office.step()
    assert [letter.offset for letter in office.letters] == [at]
    assert office.state.totals == before


def test_a_damaged_header_loses_its_range_and_not_its_partition(office, caplog):
    damaged = bytearray(office.broker.topics[topics.WINDOWS, 0][1].value)
    damaged[8:12] = b"\xff\xff\xff\xff"
    office.say(bytes(damaged))
    office.begin += 10  # what it covered
    office.range(3)
    office.range(4)
    office.step()
    assert office.state.fence.ends == {ONE: 50}
    assert office.refused("gap") == 1
    assert "10 offsets before 30 are in no range that can be read" in caplog.text


def test_a_range_that_begins_before_the_end_never_counts(office):
    office.begin = 15
    office.range(2)
    office.step()
    assert office.state.fence.ends == {ONE: 20}
    assert office.refused("gap") == 1


class Sensitive(CountingMonitor):
    """Cannot go on with a second, and has changed half by then."""

    def observe(self, window, **how):
        super().observe(window, **how)
        if window.key.second == 3:
            raise ZeroDivisionError("no one")
        return ()


def test_a_record_with_which_the_judge_cannot_go_on_is_passed_over(office):
    office.monitor_of = Sensitive
    office.replace()
    for second in (2, 3):
        office.range(second)
    office.step()
    office.judge._snapshot()
    poisoned = office.range(4)  # it closes the third second
    office.step()
    (letter,) = office.letters
    assert (letter.offset, letter.reason) == (poisoned, Rejection.POISON)
    assert "no one" in letter.detail
    assert [key[2] for key in office.state.monitor.showers] == [1, 2]
    assert office.state.at == poisoned + 1


def test_where_every_record_stops_the_judge_it_is_not_the_records(office):
    class Broken(CountingMonitor):
        def observe(self, window, **how):
            raise ZeroDivisionError("always")

    office.monitor_of = Broken
    office.replace()
    for second in range(2, MOST_PASSED + 3):
        office.range(second)
    with pytest.raises(ZeroDivisionError):
        [office.step() for _ in range(MOST_PASSED)]
    assert len(office.letters) == MOST_PASSED


def test_an_operator_can_have_a_record_passed_over(office):
    at = office.range(2)
    office.range(3)
    office.replace(skip=frozenset({f"{topics.WINDOWS}[0]@{at}"}))
    office.step()
    (letter,) = office.letters
    assert (letter.offset, letter.reason) == (at, Rejection.SKIPPED)
    assert office.state.fence.ends == {ONE: 40}


def test_a_dead_letter_is_sent_once_however_often_the_record_is_read(office):
    office.say(b"{}")
    office.step()
    office.judge._take_office()
    office.step()
    assert len(office.letters) == 1


STATE = dict(poison.state_topic())


@pytest.mark.parametrize("name", STATE)
def test_a_poisoned_manifest_is_a_dead_letter_and_an_older_one_is_taken(name, office):
    office.step()
    office.judge._snapshot()
    office.broker.append(topics.STATE, STATE[name], "manifest/1", 0)
    office.broker.append(topics.STATE, None, "manifest/0", 0)  # a deletion
    office.replace()
    office.step()
    assert [letter.topic for letter in office.letters] == [topics.STATE]
    assert Snapshots(office.judge._log).newest() != NOTHING
    assert office.state.fence.ends == {ONE: 20}


@pytest.mark.parametrize(
    "words", [b"{}", b"[]", b"null", b'{"stands": 5}', b'{"stands": [[1, {"x": 1}]], "clock": [0]}']
)
def test_a_snapshot_of_nonsense_is_not_believed(words, office):
    office.step()
    arrays = arrays_of(office.state) | {"words": np.frombuffer(words, np.uint8)}
    plan = office.judge._manifest
    told = replace(plan, at=office.state.at, fingerprint="f", models=("m", "m", ""), turn=1)
    office.judge._snapshots.write(office.judge._sink, arrays, told)
    office.replace()
    office.step()
    assert office.state.fence.ends == {ONE: 20}


MODELS = {name: (key, value) for key, name, value in poison.models_topic() if key == "control"}


@pytest.mark.parametrize("name", MODELS)
def test_poison_on_the_models_topic_is_a_dead_letter_and_nothing_in_force(name, office):
    key, value = MODELS[name]
    office.broker.append(topics.MODELS, value, key, 0)
    office.broker.append(topics.MODELS, None, key, 0)  # a deletion
    office.step()
    assert [letter.topic for letter in office.letters] == [topics.MODELS]
    assert office.state.primary.model.hash == "m"


QUALITY = dict(poison.quality_topic())


@pytest.mark.parametrize("name", QUALITY)
def test_poison_on_the_quality_topic_is_a_dead_letter_to_who_takes_office(name, office):
    office.broker.append(topics.QUALITY, QUALITY[name], "k", 0)
    office.step()
    assert [letter.topic for letter in office.letters] == [topics.QUALITY]
    assert office.state.fence.ends == {ONE: 20}
