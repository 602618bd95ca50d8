"""The list of what stands where on the quality topic: late, absent or stale, nothing is missed."""

from dataclasses import replace

import pytest
from memory import MemoryBroker, MemoryLog, MemorySink
from standings import alarm

from consumers.exactly_once import contents, quality_log
from consumers.exactly_once.contents import Lister
from consumers.exactly_once.snapshots import NOTHING
from consumers.wire import contents_form, topics
from consumers.wire.block import DecodeError
from consumers.wire.contents_form import AlarmEntry, Reached, RunEntry
from monitor.quality.alarms import State
from monitor.quality.quality import Quality
from monitor.quality.verdicts import Verdict


class Counting(MemoryLog):
    """A log that counts the records of the quality topic that were read."""

    records = 0

    def read(self, topic, begin, end, *, partition=0):
        found = super().read(topic, begin, end, partition=partition)
        self.records += len(found) if topic == topics.QUALITY else 0
        return found

    def read_all(self, topic, begin=None):
        found = super().read_all(topic, begin)
        self.records += len(found) if topic == topics.QUALITY else 0
        return found


def verdict(run, lumisection, version=1):
    return Verdict(
        run=run, lumisection=lumisection, region=0, name="A1", quality=Quality.GOOD,
        version=version, showers=10, exceedances=0, expected=0.1, known=(), active=(), alarms=(), reason="", model="m",
        reference="r", software="0",
    )  # fmt: skip


@pytest.fixture
def broker():
    made = MemoryBroker()
    made.pen = quality_log.take_office(MemorySink(made), MemoryLog(made), "j", NOTHING)
    return made


def say(broker, *records):
    for record in records:
        broker.pen.publish(record, 0)


def a_month(broker):
    for run in range(1, 31):
        say(broker, *(verdict(run, lumisection) for lumisection in range(1, 11)))
        say(broker, replace(alarm(), id=f"alarm-{run}"))


def write_list(broker):
    lister = Lister(lambda: MemorySink(broker))
    begin = lister.begin(MemoryLog(broker))
    lister.follow(broker.topics[topics.QUALITY, 0][begin:])
    lister.write()


def asked(broker, run):
    log = Counting(broker)
    found = contents.read(log)
    return list(contents.verdicts(log, found, run)), found, log.records


def test_the_verdicts_of_a_run_are_found_by_reading_its_stretch_alone(broker):
    a_month(broker)
    write_list(broker)
    verdicts, found, records = asked(broker, 7)
    assert [v.lumisection for v in verdicts] == list(range(1, 11))
    assert records <= 12
    assert sorted(found.runs) == list(range(1, 31))
    assert found.alarms["alarm-3"].state is State.RAISED


def test_without_a_list_everything_is_read_and_nothing_is_missed(broker):
    a_month(broker)
    verdicts, found, records = asked(broker, 7)
    assert len(verdicts) == 10
    assert len(found.alarms) == 30
    assert records > 300


def test_what_the_list_does_not_reach_yet_is_read_besides(broker):
    a_month(broker)
    write_list(broker)
    say(broker, verdict(7, 3, version=2), replace(alarm(), id="alarm-3", state=State.CLEARED))
    verdicts, found, _ = asked(broker, 7)
    assert [v.version for v in verdicts if v.lumisection == 3] == [1, 2]
    assert found.alarms["alarm-3"].state is State.CLEARED


def test_a_later_list_goes_on_from_an_earlier_one(broker):
    a_month(broker)
    write_list(broker)
    first = len(broker.topics[topics.CONTENTS, 0])
    say(broker, verdict(30, 11))
    write_list(broker)
    assert len(broker.topics[topics.CONTENTS, 0]) == first + 2  # the run, and how far it reaches
    assert len(asked(broker, 30)[0]) == 11


def test_a_list_about_a_topic_that_was_made_again_is_not_believed(broker):
    broker.ids[topics.QUALITY] = "one"
    a_month(broker)
    write_list(broker)
    broker.make_again(topics.QUALITY, "another")
    broker.pen = quality_log.take_office(MemorySink(broker), MemoryLog(broker), "j", NOTHING)
    say(broker, verdict(31, 1))
    verdicts, found, _ = asked(broker, 31)
    assert len(verdicts) == 1
    assert list(found.runs) == [31]


def test_a_topic_that_became_shorter_is_read_to_its_end(broker):
    broker.ids[topics.QUALITY] = "one"
    a_month(broker)
    write_list(broker)
    broker.cut(topics.QUALITY, 0, 200)
    say(broker, verdict(31, 1))
    assert len(asked(broker, 31)[0]) == 1


def test_who_follows_the_topic_knows_which_alarms_are_open_once_it_has_read_it(broker):
    say(broker, alarm(), replace(alarm(), id="listed"), replace(alarm(), id="over"))
    write_list(broker)
    say(broker, replace(alarm(), id="over", state=State.CLEARED))
    lister = Lister(lambda: MemorySink(broker))
    begin = lister.begin(MemoryLog(broker))
    assert lister.is_open("listed") is None
    lister.follow(broker.topics[topics.QUALITY, 0][begin:])
    assert lister.is_open("listed") is None
    lister.follow([None])
    named = (alarm().id, "listed", "over", "never")
    assert [lister.is_open(name) for name in named] == [True, True, False, False]


@pytest.mark.parametrize(
    "entry", [RunEntry(5, 10, 20), AlarmEntry("a", State.RAISED, "hot"), Reached(7, 1, "ab")]
)
def test_entries_come_back(entry):
    assert contents_form.decode(contents_form.encode(entry, "id")) == (entry, "id")


@pytest.mark.parametrize("value", [None, b"", b"{}", b'{"run": 5}', b"[]", b'{"reached": null}'])
def test_what_is_no_entry_is_refused(value):
    with pytest.raises(DecodeError):
        contents_form.decode(value)
