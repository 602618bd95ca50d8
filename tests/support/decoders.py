"""Every decoder of bytes that others wrote, by name: it takes them, or refuses in its own words.

What a decoder raises beside those is a fault. `fuzz` looks for such bytes, and the ordinary tests
replay what it has found.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import golden
import hostile
import orjson
import payloads
import poison
import spoken
import texts
from memory import TINY, MemoryBroker, MemorySink
from spoken import FORM
from standings import DETECTOR

from consumers.exactly_once.fence import Fence
from consumers.exactly_once.quality_log import QualityReader
from consumers.exactly_once.snapshots import NOTHING, Snapshots
from consumers.http.acts import ActError, Acts
from consumers.wire import (
    artefact_form,
    codec,
    contents_form,
    control,
    letters,
    lumisection_form,
    ranges,
    run_form,
    strange,
    topics,
    window_form,
)
from consumers.wire.block import DecodeError
from consumers.wire.contents_form import AlarmEntry, Reached, RunEntry
from consumers.wire.control import Notice
from consumers.wire.lumisection_form import Part
from consumers.wire.ranges import PersonSaid, Range, Stream
from consumers.wire.record import Record
from monitor.quality import records
from monitor.quality.alarms import State
from monitor.quality.records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CORPUS = Path(__file__).parents[1] / "consumers" / "wire" / "corpus"
CARD_KEY = b"artefact/" + golden.HASH.encode()
ACTS = Acts("0123456789abcdef", DETECTOR, golden.GEOMETRY, lambda _: None)


def showers(value: bytes) -> None:
    """Decode a record of showers."""
    with suppress(DecodeError):
        codec.decode(value, golden.GEOMETRY)


def windows(value: bytes) -> None:
    """Read a record of the windows topic, and all that is in it."""
    with suppress(DecodeError, RecordError):
        entry = ranges.header(value)
        if isinstance(entry, PersonSaid):
            records.from_json(entry.body)
        elif isinstance(entry, Range):
            for part in ranges.parts(value, entry).values():
                for form in (FORM, golden.SHADOW):
                    with suppress(DecodeError):
                        window_form.windows(part, form)


def anomalies(value: bytes) -> None:
    """Decode strange showers."""
    with suppress(DecodeError):
        strange.decode(value, TINY)


class _One:
    """A topic of one record."""

    def __init__(self, key: bytes, value: bytes) -> None:
        self.record = Record("t", 0, 0, 0, key, value)

    def read(self, topic: str, begin: int | None, end: int) -> list[Record]:
        return [self.record]

    def read_all(self, topic: str) -> list[Record]:
        return [self.record]

    def bounds(self, topic: str, partition: int = 0) -> tuple[int, int]:
        return 0, 1


def manifest(value: bytes) -> None:
    """Read what may be a manifest."""
    Snapshots(_One(b"manifest/0", value)).newest()


def snapshot(value: bytes) -> None:
    """Unpack what may be a snapshot, as a manifest that fits would have it."""
    told = replace(NOTHING, chunks=(0,), sha256=hashlib.sha256(value).hexdigest())
    Snapshots(_One(b"chunk/0/0", value)).state(told)


def models(value: bytes) -> None:
    """Read what may be in force, or a card."""
    control.control_of(Record("t", 0, 0, 0, b"control", value))
    artefact_form.card_of(Record("t", 0, 0, 0, CARD_KEY, value))


def notices(value: bytes) -> None:
    """Read what a judge may tell a worker."""
    control.notice_of(Record("t", 0, 0, 0, f"{control.NOTICE}t/0".encode(), value))


def contents(value: bytes) -> None:
    """Read an entry of the list of contents."""
    with suppress(DecodeError):
        contents_form.decode(value)


def lumisections(value: bytes) -> None:
    """Read a part of a lumisection."""
    for form in (FORM, golden.SHADOW):
        with suppress(DecodeError):
            lumisection_form.window(value, form)


def runs(value: bytes) -> None:
    """Read what a data acquisition may say of a run."""
    with suppress(DecodeError):
        run_form.decode(Record("t", 0, 3, 0, None, value))


def quality(value: bytes) -> None:
    """Read a line of the quality topic."""
    QualityReader().take(Record("t", 0, 9, 0, b"k", value))


def rejects(value: bytes) -> None:
    """Read a dead letter."""
    with suppress(DecodeError):
        letters.decode(value)


def acts(value: bytes) -> None:
    """Do what the page may have sent."""
    with suppress(ActError):
        ACTS.do(value, {"B2-1"}.__contains__, 17, "10.0.0.1")


def fences(value: bytes) -> None:
    """Read what a manifest may say of the fence, and write it again."""
    with suppress(ValueError):
        Fence.from_json(Fence.from_json(orjson.loads(value)).to_json())


DECODERS: dict[str, Callable[[bytes], None]] = {
    decoder.__name__: decoder
    for decoder in (
        showers, windows, anomalies, manifest, snapshot, models, notices, quality, contents, lumisections,
        runs,
        rejects, acts, fences,
        *texts.DECODERS,
    )
}  # fmt: skip


def seeds(name: str) -> list[bytes]:
    """Return what fuzzing of a decoder begins with: what is well, and what is known to be ill."""
    return [value or b"" for value in SEEDS[name]()]


def _acts() -> Iterator[bytes]:
    good = {
        "alarm": "B2-1", "who": "Ada", "cause": "noise", "masks": ["B2:middle[5,6]"],
        "until_s": 1_795_003_600, "lift": False,
    }  # fmt: skip
    yield orjson.dumps(good)
    yield from (orjson.dumps({**good, field: [1]}) for field in good)


def _runs() -> Iterator[bytes]:
    good = {"what": "start", "run": 311, "regions": [0, 1], "conditions": "1200 V"}
    yield orjson.dumps(good)
    yield orjson.dumps({"what": "end", "run": 311})
    yield from (orjson.dumps({**good, field: [-1]}) for field in good)


def _contents() -> Iterator[bytes]:
    for entry in (RunEntry(311, 5, 99), AlarmEntry("B2-1", State.RAISED, "hot"), Reached(99, 2)):
        good = contents_form.encode(entry, "id")
        yield from (good, good[:-2], good.replace(b"99", b"-1"))


def _lumisections() -> Iterator[bytes]:
    part = Part(311, 4, "a" * 64, 17, 5, 9, 3)
    good = lumisection_form.encode(part, spoken.window(3, 5, (0, 2)), FORM)
    yield from (good, good[:-20], good.replace(b'"at":17', b'"at":-7'))


def _notices() -> Iterator[bytes]:
    for holder in ("", "w1"):
        sink = MemorySink(MemoryBroker())
        control.warn(sink, Notice(Stream("calo.showers.v1", "id", 3), 17, "fenced", holder))
        (said,) = sink.broker.topics[topics.MODELS, 0]
        good = said.value or b""
        yield from (good, good[:-2], good.replace(b"17", b"[]"))


def _values(*payloads: poison.Payloads) -> Iterator[bytes | None]:
    return (value for many in payloads for _, value in many)


def _fences() -> Iterator[bytes]:
    whole = orjson.loads(golden.state_topic()["manifest"] or b"")["manifest"]["fence"]
    yield orjson.dumps(whole)
    stream = ["calo.showers.v1", "id", 3]
    rows = {"tokens": [[3, 5]], "ends": [[3, 99]], "seqs": [[3, {"p": [1, 2]}]]}
    yield orjson.dumps({**rows, "streams": [stream], "tails": [[*stream, 5, 1, "x"]], "since": 7})
    yield orjson.dumps({**rows, "former": {"ends": [[*stream, 2**63]]}, "holes": [stream]})


SEEDS: dict[str, Callable[[], Iterable[bytes | None]]] = {
    "showers": lambda: [*payloads.good().values(), *(p.value for p in hostile.corpus())],
    "windows": lambda: [
        *golden.windows_topic().values(),
        *_values(poison.windows_topic(), poison.acts(), poison.windows()),
    ],
    "anomalies": lambda: [golden.further()["strange"], *_values(poison.anomalies_topic())],
    "manifest": lambda: [golden.state_topic()["manifest"], *_values(poison.state_topic())],
    "snapshot": lambda: [golden.state_topic()["chunk"], *_values(poison.snapshots())],
    "models": lambda: [
        *golden.models_topic().values(),
        *(value for _, _, value in poison.models_topic()),
    ],
    "notices": _notices,
    "contents": _contents,
    "runs": _runs,
    "lumisections": _lumisections,
    "quality": lambda: [*golden.quality_topic().values(), *_values(poison.quality_topic())],
    "rejects": lambda: [golden.further()["letter"]],
    "acts": _acts,
    "fences": _fences,
    **texts.SEEDS,
}


def kept(name: str) -> list[Path]:
    """Return the files of the corpus of a decoder."""
    return sorted((CORPUS / name).glob("*"))
