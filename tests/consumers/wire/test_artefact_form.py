"""Artefacts on the models topic: put together again to the byte, or refused in one line."""

import hashlib
from dataclasses import replace

import orjson
import pytest
from memory import TINY, MemoryBroker, MemorySink

from consumers.app.settings import ARTEFACT
from consumers.wire import artefact_form, control, topics
from consumers.wire.artefact_form import ModelAbsent
from consumers.wire.control import Control
from models.scoring.artefact import Artefact
from models.scoring.description import FILES


@pytest.fixture(scope="module")
def artefact():
    return Artefact.load(ARTEFACT)


@pytest.fixture
def broker():
    return MemoryBroker()


@pytest.fixture
def published(broker, artefact):
    artefact_form.publish(MemorySink(broker), ARTEFACT, artefact)
    return broker.topics[topics.MODELS, 0]


def changed(records, which, **changes):
    """Return the records with those of a kind changed."""
    return [replace(r, **changes) if r.key.startswith(which) else r for r in records]


def test_an_artefact_comes_back_as_it_went(published, artefact):
    assert max(len(record.value) for record in published) < 1 << 20
    back = artefact_form.gather(published, artefact.hash, artefact.geometry, Artefact.of_files)
    assert back.hash == artefact.hash
    assert back.geometry == artefact.geometry
    (card,) = artefact_form.cards(published).values()
    assert card.bytes == sum((ARTEFACT / name).stat().st_size for name in FILES)


def test_announcing_it_again_or_in_another_order_changes_nothing(published, artefact, broker):
    artefact_form.publish(MemorySink(broker), ARTEFACT, artefact)
    mixed = sorted(broker.topics[topics.MODELS, 0], key=lambda r: hashlib.md5(r.key).digest())  # noqa: S324
    assert (
        artefact_form.gather(mixed, artefact.hash, artefact.geometry, Artefact.of_files).hash
        == artefact.hash
    )


def test_what_is_not_whole_or_not_what_it_says_is_refused_in_one_line(published, artefact):
    first = b"piece/" + artefact.hash.encode() + b"/0"
    card = orjson.loads(published[-1].value)
    spoilt = bytearray(next(r.value for r in published if r.key == first))
    spoilt[100] ^= 1
    shrunk = {**card["artefact"]["sizes"], "card.json": 0}
    huge = {**card["artefact"]["sizes"], "card.json": 1 << 40}
    cases = {
        "announce it": [],
        "announce it again": [r for r in published if r.key != first],
        "damaged": changed(published, first, value=bytes(spoilt)),
        "there whole": changed(
            published,
            b"artefact/",
            value=orjson.dumps({"artefact": {**card["artefact"], "sizes": shrunk}}),
        ),
        "is not on": changed(
            published,
            b"artefact/",
            value=orjson.dumps({"artefact": {**card["artefact"], "sizes": huge}}),
        ),
    }
    for words, records in cases.items():
        with pytest.raises(ModelAbsent, match=words) as refused:
            artefact_form.gather(records, artefact.hash, artefact.geometry, Artefact.of_files)
        assert "\n" not in str(refused.value)


def test_files_that_have_changed_since_they_were_loaded_are_not_published(
    artefact, broker, tmp_path
):
    for name in FILES:
        (tmp_path / name).write_bytes((ARTEFACT / name).read_bytes())
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(ModelAbsent, match="do not match their hash"):
        artefact_form.publish(MemorySink(broker), tmp_path, artefact)
    assert not broker.topics.get((topics.MODELS, 0))


def test_another_geometry_is_refused(published, artefact):
    with pytest.raises(ModelAbsent, match=r"'pb-lar-504'.*'tiny'"):
        artefact_form.gather(published, artefact.hash, TINY, Artefact.of_files)


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[1]", b'{"artefact": 3}', b"\x80\x04pickle"])
def test_a_card_that_is_none_is_not_read(published, artefact, value):
    records = changed(published, b"artefact/", value=value)
    assert artefact_form.cards(records) == {}
    with pytest.raises(ModelAbsent):
        artefact_form.gather(records, artefact.hash, artefact.geometry, Artefact.of_files)


def test_a_card_whose_words_are_no_texts_is_not_read(published):
    card = orjson.loads(published[-1].value)["artefact"]
    value = orjson.dumps({"artefact": card | {"version": 3}})
    assert artefact_form.cards(changed(published, b"artefact/", value=value)) == {}


def test_the_newest_word_of_the_judge_in_office_counts(broker):
    sink = MemorySink(broker)
    control.publish(sink, Control(10, "a", "a"))
    control.publish(sink, Control(30, "a", "b", "a"))
    control.publish(sink, Control(20, "a", "a"))  # of a judge that did not know yet
    broker.append(topics.MODELS, b'{"control": {"at": "x"}}', control.KEY)
    broker.append(topics.MODELS, b"\xff", control.KEY)
    assert control.newest(broker.topics[topics.MODELS, 0]) == Control(30, "a", "b", "a")


def test_what_a_newer_judge_says_beside_is_ignored(broker):
    said = {"at": 1, "first": "a", "primary": "a", "to come": [1]}
    broker.append(topics.MODELS, orjson.dumps({"control": said}), control.KEY)
    assert control.newest(broker.topics[topics.MODELS, 0]) == Control(1, "a", "a")
