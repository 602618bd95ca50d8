"""The models topic: artefacts in pieces, so that workers and judges need no disk in common.

An artefact is content-addressed: its pieces and its card are keyed by its hash, so announcing it
again changes nothing, and compaction keeps one of each. The card comes last; it says how many
pieces there are, and nothing is put together that is larger than it may be or of another hash.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import TypeAdapter, with_config

from consumers.wire import schema, topics
from consumers.wire.block import DecodeError
from consumers.wire.letters import Unsent
from models.scoring.artefact import FILES, Artefact, ArtefactError
from monitor.quality.bounds import TOLD, Count
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from consumers.wire.letters import Letters
    from consumers.wire.record import Record, Sink
    from models.detector.geometry import Geometry

PIECE_BYTES = 512 << 10
MAX_ARTEFACT_BYTES = 256 << 20
"""Largest artefact that is taken from the topic; those that ship have some 4 MB."""

_PIECE = re.compile(rb"piece/(?P<hash>[0-9a-f]{64})/(?P<number>\d{1,4})")
_CARD = re.compile(rb"artefact/(?P<hash>[0-9a-f]{64})")


class ModelAbsent(Exception):  # noqa: N818 - what is the case, in the word of people
    """An artefact that cannot be had from the topic, or not be used; one line that says why."""


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class Card:
    """What the topic says of an artefact."""

    hash: str
    family: str
    version: str
    geometry: str
    sizes: dict[str, Count]
    """Bytes of each file."""

    def __post_init__(self) -> None:
        if set(self.sizes) != set(FILES):
            raise ValueError(f"an artefact has the files {', '.join(FILES)}")

    @property
    def bytes(self) -> int:
        """Return the bytes of all files."""
        return sum(self.sizes.values())

    @property
    def pieces(self) -> int:
        """Return how many pieces they are in."""
        return -(-self.bytes // PIECE_BYTES)


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class _Record:
    artefact: Card


_READ = TypeAdapter(_Record)
UNSENT = Unsent()


def encode_card(card: Card) -> bytes:
    """Return the wire form of a card."""
    return orjson.dumps({"artefact": card})


def card_of(record: Record, letters: Letters = UNSENT) -> Card | None:
    """Return the card that a record of the topic is, None if it is none that can be used."""
    match = _CARD.fullmatch(record.key or b"")
    if match is None or record.value is None:
        return None
    try:
        return _card(record.value, match["hash"].decode())
    except DecodeError as error:
        letters.refuse(record, error)
        return None


def _card(value: bytes, model: str) -> Card:
    card = schema.read(_READ, value).artefact
    if card.hash != model:
        raise DecodeError(Rejection.SCHEMA, f"the card of {card.hash[:64]!r} under another key")
    if card.bytes > MAX_ARTEFACT_BYTES:
        raise DecodeError(Rejection.OVERSIZE, f"{card.bytes} bytes of artefact")
    return card


def publish(sink: Sink, path: Path, artefact: Artefact) -> Card:
    """Put the files of a loaded artefact on the topic, wait until they are safe, and return its card.

    Raises
    ------
    ModelAbsent
        If it is too large, or its files have changed since it was loaded.
    """
    contents = {name: (path / name).read_bytes() for name in FILES}
    try:
        Artefact.of_files(contents, artefact.hash, str(path))
    except ArtefactError as error:
        raise ModelAbsent(str(error)) from None
    sizes = {name: len(content) for name, content in contents.items()}
    card = Card(artefact.hash, artefact.family, artefact.version, artefact.geometry.name, sizes)
    if card.bytes > MAX_ARTEFACT_BYTES:
        raise ModelAbsent(f"{card.bytes} bytes; no more than {MAX_ARTEFACT_BYTES} are taken")
    packed = b"".join(contents[name] for name in FILES)
    under_way = [
        sink.append(
            topics.MODELS,
            packed[i * PIECE_BYTES : (i + 1) * PIECE_BYTES],
            key=f"piece/{card.hash}/{i}",
            partition=0,
        )
        for i in range(card.pieces)
    ]
    for append in under_way:
        append.offset()
    sink.append(topics.MODELS, encode_card(card), key=f"artefact/{card.hash}", partition=0).offset()
    return card


def gather(records: Iterable[Record], model: str, geometry: Geometry) -> Artefact:
    """Return the artefact of a hash from the records of the topic.

    Raises
    ------
    ModelAbsent
        If it is not there whole, damaged, of a format that this software does not read, or made
        for another geometry.
    """
    pieces: dict[int, bytes] = {}
    card: Card | None = None
    for record in records:
        match = _PIECE.fullmatch(record.key or b"")
        if match is not None and match["hash"].decode() == model:
            number, value = int(match["number"]), record.value or b""
            # Together they are never more than an artefact may have.
            if number < MAX_ARTEFACT_BYTES // PIECE_BYTES and len(value) <= PIECE_BYTES:
                pieces[number] = value
        else:
            found = card_of(record)
            card = found if found is not None and found.hash == model else card
    if card is None:
        raise ModelAbsent(f"model {model[:12]} is not on {topics.MODELS}: announce it")
    packed = b"".join(pieces.get(i, b"") for i in range(card.pieces))
    if len(packed) != card.bytes:
        raise ModelAbsent(f"model {model[:12]} is not there whole: announce it again")
    return _made(packed, card, geometry)


def _made(packed: bytes, card: Card, geometry: Geometry) -> Artefact:
    contents: dict[str, bytes] = {}
    begin = 0
    for name in FILES:
        contents[name] = packed[begin : begin + card.sizes[name]]
        begin += card.sizes[name]
    try:
        artefact = Artefact.of_files(contents, card.hash, f"model {card.hash[:12]}")
    except ArtefactError as error:
        raise ModelAbsent(str(error)) from None
    check_geometry(artefact, geometry)
    return artefact


def check_geometry(artefact: Artefact, geometry: Geometry) -> None:
    """Raise `ModelAbsent` unless an artefact is made for a geometry."""
    if artefact.geometry.to_json() != geometry.to_json():
        raise ModelAbsent(
            f"model {artefact.hash[:12]} is made for geometry {artefact.geometry.name!r}; "
            f"this detector has {geometry.name!r}"
            + (", of other cells" if artefact.geometry.name == geometry.name else "")
        )


def cards(records: Iterable[Record]) -> dict[str, Card]:
    """Return the cards on the topic by hash, in the order in which they were announced."""
    found: dict[str, Any] = {}
    for record in records:
        card = card_of(record)
        if card is not None:
            found.pop(card.hash, None)
            found[card.hash] = card
    return found
