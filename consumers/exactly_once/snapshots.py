"""Snapshots: what the judge had come to at an offset of the windows topic, on a compacted topic.

A snapshot is a few chunks and, last, a manifest that says where they are and up to which offset
of the windows topic it reaches. It only saves reading: without any, or with an old one, whoever
reads the windows topic from there comes to the same. Keys alternate between two sets, so that
compaction keeps a whole snapshot while the next one is written.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import zstandard
from pydantic import Field, TypeAdapter, with_config
from safetensors import SafetensorError
from safetensors.numpy import load, save

from consumers.exactly_once.fence import Fence
from consumers.exactly_once.resuming import Known, find
from consumers.wire import schema, topics
from consumers.wire.block import DecodeError
from consumers.wire.letters import Unsent
from consumers.wire.ranges import Open, Range, Stream, header
from monitor.quality.bounds import TOLD, Count

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from consumers.exactly_once.resuming import Resumption
    from consumers.wire.letters import Letters
    from consumers.wire.record import Log, Sink

logger = logging.getLogger(__name__)

CHUNK_BYTES = 512 << 10
MAX_STATE_BYTES = 1 << 30
LOOK_FIRST, LOOK_MORE = 128, 8
"""Records of the windows topic in which the last word on a stream is looked for first: some seconds;
and how many times more are looked at next."""

LOOK_BACK = 64
"""Records of the state topic in which the newest manifest is looked for first."""


@with_config(TOLD)
@dataclass(frozen=True)
class Manifest:
    """Where a snapshot is, and how far it reaches."""

    at: Count
    """The windows topic is taken in up to here, exclusive."""

    quality_at: Count
    """All that was published on the quality topic before here is in the snapshot."""

    fence: dict[str, Any]
    chunks: Annotated[tuple[Count, ...], Field(max_length=MAX_STATE_BYTES // CHUNK_BYTES)]
    """Offsets of the chunks on the state topic."""

    sha256: str
    totals: dict[str, Count]
    """Showers, records and rejects of all ranges that counted."""

    turn: Count
    """Counts snapshots; its parity chooses the keys."""

    fingerprint: str
    """Of detector, settings and form: a judge of another kind cannot take the state over."""

    windows_id: str = ""
    """Of the windows topic that `at` is a place of; empty where the broker has none."""

    epoch: int = -1
    """Leader epoch of the record before `at`."""

    last: str = ""
    """Digest of that record, `consumers.wire.record.digest`."""

    office: int = -1
    """Token of the judge on the quality topic: what stands there under an older one is not said."""

    said_until: Count = 0
    """Offset of the windows topic before which verdicts were said by judges whose state was lost."""

    models: tuple[str, str, str] = ("", "", "")
    """Hashes of the model that the log began with, the one in force, and the one in shadow."""

    def __post_init__(self) -> None:
        Fence.from_json(self.fence)

    def place(self, log: Log, windows_id: str) -> Resumption:
        """Return where the windows topic is gone on with: it may be another by now."""
        known = Known(self.at, self.windows_id, self.epoch, self.last)
        return find(known, windows_id, log, topics.WINDOWS)


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class _Record:
    manifest: Manifest


_MANIFEST = TypeAdapter(_Record)

NOTHING = Manifest(0, 0, Fence().to_json(), (), "", {}, 0, "")
"""What is known before the first snapshot."""


@dataclass(slots=True)
class Snapshots:
    """The state topic, read and written."""

    log: Log
    letters: Letters = field(default_factory=Unsent)

    def newest(self) -> Manifest:
        """Return the newest manifest, `NOTHING` if there is none."""
        return next(iter(self.found()), NOTHING)

    def found(self) -> list[Manifest]:
        """Return the manifests of the snapshots that are kept, the newest first.

        Newest is what was written last: in a windows topic that was made again or cut off, places
        begin anew, and one that reaches further is of before.
        """
        first, end = self.log.bounds(topics.STATE)
        for begin in sorted({max(first, end - LOOK_BACK), first}, reverse=True):
            found = self._manifests(begin, end)
            if found:
                return found[::-1]
        return []

    def state(self, manifest: Manifest) -> dict[str, NDArray[Any]] | None:
        """Return the arrays of a snapshot, None if they are gone or damaged."""
        chunks = []
        for offset in manifest.chunks:
            chunks += [r.value or b"" for r in self.log.read(topics.STATE, offset, offset + 1)]
        packed = b"".join(chunks)
        if hashlib.sha256(packed).hexdigest() != manifest.sha256:
            logger.warning("the snapshot at %d is not whole: reading from before it", manifest.at)
            return None
        try:
            arrays: dict[str, NDArray[Any]] = load(_unpacked(packed))
        except (SafetensorError, zstandard.ZstdError, LookupError, ValueError) as error:
            logger.warning("the snapshot at %d cannot be read: %s", manifest.at, error)
            return None
        return arrays

    def write(self, sink: Sink, arrays: dict[str, NDArray[Any]], plan: Manifest) -> Manifest:
        """Append a snapshot, wait until it is safe and return its manifest.

        Parameters
        ----------
        plan
            The manifest less what only writing can tell: chunks and digest.
        """
        packed = zstandard.ZstdCompressor(level=1).compress(save(arrays))
        pieces = [packed[i : i + CHUNK_BYTES] for i in range(0, len(packed), CHUNK_BYTES)]
        turn = plan.turn % 2
        under_way = [
            sink.append(topics.STATE, piece, key=f"chunk/{turn}/{i}", partition=0)
            for i, piece in enumerate(pieces)
        ]
        chunks = tuple(append.offset() for append in under_way)
        manifest = replace(plan, chunks=chunks, sha256=hashlib.sha256(packed).hexdigest())
        told = schema.told(manifest, "windows_id", "epoch", "last", "office", "said_until")
        value = orjson.dumps({"manifest": told})
        sink.append(topics.STATE, value, key=f"manifest/{turn}", partition=0).offset()
        return manifest

    def _manifests(self, begin: int | None, end: int) -> list[Manifest]:
        found = []
        for record in self.log.read(topics.STATE, begin, end):
            if not (record.key or b"").startswith(b"manifest/") or record.value is None:
                continue
            try:
                found.append(schema.read(_MANIFEST, record.value).manifest)
            except DecodeError as error:
                self.letters.refuse(record, error)
        return found


def _unpacked(packed: bytes) -> bytes:
    # What a frame claims to hold is allocated before any bound is looked at.
    claimed = zstandard.frame_content_size(packed)
    if claimed > MAX_STATE_BYTES:
        raise ValueError(f"claims {claimed} bytes")
    return zstandard.ZstdDecompressor().decompress(packed, MAX_STATE_BYTES)


def fence_at(manifest: Manifest, place: Resumption) -> Fence:
    """Return the fence of a snapshot, for the windows topic as it is gone on with."""
    fence = Fence.from_json(manifest.fence)
    if place.again:  # tokens are places of the log that is gone
        fence.tokens.clear()
    if place.again or place.expired:
        fence.since = place.begin
    return fence


def read_back(
    log: Log, newest: Callable[[], Manifest], end: int, wanted: Collection[Stream]
) -> Fence:
    """Return the fence as it stands at an offset of the windows topic, for some streams.

    A worker speaks of each of its streams at every heartbeat, so the last word on a stream is near
    the end as a rule: it is looked for there first, and only then is the state topic asked, and
    the windows topic read ever further back.

    Parameters
    ----------
    newest
        Returns the newest manifest.
    """
    first, _ = log.bounds(topics.WINDOWS)
    looks = (LOOK_FIRST * LOOK_MORE**n for n in itertools.count())
    for look in itertools.takewhile(lambda look: look < end - first, itertools.islice(looks, 2)):
        fence = _last_words(log, end - look, end, wanted)
        if fence is not None:
            return fence
    manifest = newest()
    place = manifest.place(log, log.identity(topics.WINDOWS))
    for look in itertools.takewhile(lambda look: look < end - place.begin, looks):
        fence = _last_words(log, end - look, end, wanted)
        if fence is not None:
            return fence
    return _gone_through(log, fence_at(manifest, place), place.begin, end)


def _last_words(log: Log, begin: int, end: int, wanted: Collection[Stream]) -> Fence | None:
    """Return the fence out of a stretch of the windows topic, None if it lacks a stream."""
    fence = _gone_through(log, Fence(since=begin), begin, end)
    there = (stream in fence.ends or fence.former(stream) is not None for stream in wanted)
    return fence if all(there) else None


def _gone_through(log: Log, fence: Fence, begin: int, end: int) -> Fence:
    for record in log.read(topics.WINDOWS, begin, end):
        try:
            entry = header(record.value)
        except DecodeError as error:
            logger.warning("%s[0]@%d: %s", topics.WINDOWS, record.offset, error)
            fence.unreadable()
            continue
        if isinstance(entry, Open):
            fence.open(record.offset, entry)
        elif isinstance(entry, Range):
            fence.accept(entry)
    return fence
