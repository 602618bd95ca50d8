"""Where a reader begins again in a log that was cut, expired, or made anew."""

import pytest
from memory import MemoryLog
from stage import Stage

from consumers.exactly_once.resuming import Known, Resumption, find
from consumers.wire.record import digest

# The places themselves


def log_of(*epochs, first=0, id_=""):
    """Return a log whose records were written under these epochs."""
    stage = Stage(0)
    for i, epoch in enumerate(epochs):
        stage.broker.epoch = epoch
        stage.broker.append("t", f"{i}/{epoch}".encode(), "k", 0)
    stage.broker.expire("t", 0, first)
    stage.broker.ids["t"] = id_
    return MemoryLog(stage.broker)


def noted(log, end, id_="1"):
    record = log.read("t", end - 1, end)[0]
    return Known(end, id_, record.epoch, digest(record))


def test_a_place_that_still_follows_its_record_is_kept():
    log = log_of(0, 0, 1, 1, 1, id_="1")
    assert find(noted(log, 4), "1", log, "t") == Resumption(4, 4)


def test_what_expired_before_it_was_read_is_told():
    log = log_of(0, 0, 0, 0, first=3, id_="1")
    place = find(Known(1, "1", 0, "x"), "1", log, "t")
    assert (place.begin, place.expired, place.cut) == (3, 2, 0)


@pytest.mark.parametrize("then", [(0, 0), (0, 0, 2), (0, 0, 2, 2, 2, 3, 3)])
def test_a_log_that_was_cut_off_is_gone_on_with_where_it_parted(then):
    known = noted(log_of(0, 0, 1, 1, 1, id_="1"), 5)
    place = find(known, "1", log_of(*then, id_="1"), "t")
    assert (place.begin, place.expired, place.cut) == (2, 0, 3)


def test_a_topic_of_another_id_is_read_from_its_start():
    known = noted(log_of(0, 0, 0, id_="1"), 2)
    place = find(known, "2", log_of(3, 3, 3, 3, id_="2"), "t")
    assert place == Resumption(0, 2, again=True)
    assert place.expired == place.cut == 0


def test_a_topic_out_of_a_backup_is_known_by_its_record():
    log = log_of(0, 0, 0, 0, id_="2")
    assert find(noted(log, 3), "2", log, "t") == Resumption(3, 3)


def test_without_ids_another_record_in_the_same_place_is_another_log():
    known = noted(log_of(0, 0, 0), 2, "")
    other = log_of(0)
    other.broker.now_ms += 1
    for _ in range(4):
        other.broker.append("t", b"other", "k", 0)
    assert find(known, "", other, "t") == Resumption(0, 2, again=True)
