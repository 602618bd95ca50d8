"""The wire form of every record stays the same to the bit: old topics and new software meet.

`golden` holds the bytes as they were; a change of a form is a change of its number, never of a file
there. Only Arrow's own library may ask for new files, where it packs the same counts otherwise.
"""

from pathlib import Path

import golden
import pytest
from memory import TINY
from spoken import FORM

from consumers.exactly_once.fence import Fence
from consumers.exactly_once.quality_log import QualityReader
from consumers.exactly_once.snapshots import Snapshots
from consumers.wire import artefact_form, control, letters, ranges, strange, window_form
from consumers.wire.codec import decode
from consumers.wire.ranges import PersonSaid, Range
from consumers.wire.record import Record
from monitor.quality.acknowledgements import Mask, Masked
from monitor.quality.records import from_json

FILES = {path.stem: path for path in sorted((Path(__file__).parent / "golden").glob("*.bin"))}


@pytest.fixture(scope="module")
def written():
    return golden.every()


def test_every_record_has_its_golden_bytes_and_no_file_is_left_over(written):
    assert set(written) == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_the_wire_form_is_the_same_to_the_bit(name, written):
    assert written[name] == FILES[name].read_bytes()


def old(name):
    return FILES[name].read_bytes()


def record(name, *, key=b"k", offset=9):
    return Record("t", 0, offset, 0, key, old(name))


@pytest.mark.parametrize("name", [n for n in FILES if n.startswith("range")])
def test_ranges_are_read_from_their_golden_bytes(name):
    entry = ranges.header(old(name))
    assert isinstance(entry, Range)
    parts = ranges.parts(old(name), entry)
    assert bool(window_form.windows(parts["m"], FORM)) == (name != "range-idle")
    assert entry.worst == () or entry.worst[0].p == 1e-4


@pytest.mark.parametrize("name", golden.ACTS)
def test_acts_are_read_from_their_golden_bytes(name):
    said = ranges.header(old(f"said-{name}"))
    assert isinstance(said, PersonSaid)
    assert from_json(said.body) == golden.ACTS[name]
    assert QualityReader().take(record(f"quality-{name}")) == golden.ACTS[name]


def test_what_a_judge_says_is_read_from_its_golden_bytes():
    assert QualityReader().take(record("quality-verdict")) == golden.VERDICT
    assert QualityReader().take(record("quality-alarm")) == golden.alarm()


def test_a_snapshot_is_read_from_its_golden_bytes():
    records = [record("chunk", key=b"chunk/0/0"), record("manifest", key=b"manifest/0", offset=1)]

    class Log:
        def read(self, topic, begin, end):
            return records[begin or 0 : end]

        def bounds(self, topic):
            return 0, len(records)

    snapshots = Snapshots(Log())
    manifest = snapshots.newest()
    assert Fence.from_json(manifest.fence) == Fence.from_json(golden.MANIFEST.fence)
    assert snapshots.state(manifest)["a"].tolist() == [0, 1, 2, 3, 4, 5]


def test_models_and_letters_are_read_from_their_golden_bytes():
    said = control.control_of(record("control", key=b"control"))
    assert said.masked == Masked.of([Mask(1, ()), Mask(2, (3, 5))])
    card = artefact_form.card_of(record("card", key=b"artefact/" + golden.HASH.encode()))
    assert card.family == "flux"
    assert letters.decode(old("letter")).reason == "format"


def test_showers_are_read_from_their_golden_bytes():
    assert decode(old("showers"), golden.GEOMETRY).showers.n == 4
    (shower,) = strange.decode(old("strange"), TINY)
    assert shower.event_id == 2**64 - 1
