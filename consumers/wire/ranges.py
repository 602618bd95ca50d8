"""What stands on the windows topic: opens, ranges of windows, and what people say.

A range is an Arrow stream with a row per window and region; its coordinates are in the schema's
metadata, so that a reader who needs only those does not expand the counts. Where a second model
scored the same showers in shadow, its windows follow as a stream of their own in the same record:
a range carries both or is not there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
from pyarrow import ipc
from pydantic import Field, TypeAdapter, with_config

from consumers.wire import arrow_stream, channel_columns, schema, topics
from consumers.wire.block import LATEST_NS, MAX_SPREAD, DecodeError
from consumers.wire.record import MAX_RECORD_BYTES
from models.scoring.scales import LEVELS, P_EDGES
from monitor.judging.comparison import Joint
from monitor.quality.bounds import SPOKEN, TOLD, Count, Counted, EventId, Number32, P, RegionId
from monitor.quality.rejection import Rejection
from monitor.windows.window import Window, WindowKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

FORMAT = "1"
MAX_ROWS = 4096
MAX_BYTES = 512 << 20
"""Most memory that the windows of a range may take."""

MAX_WORST = 8
"""Most worst showers that a range points at."""

LARGEST = 2**48
"""Most that a count or sum of a window can be: thousands of them add up without overflow."""

_SIGNED = frozenset({"z_sum", "layer_energy"})
_KEY = WindowKey._fields
_LAST_KEY = np.array([2**32 - 1, 2**32 - 1, LATEST_NS // 10**9])
_SPARSE = ("score_bins", "score_counts")
_RARE = ("unknown",)
"""Fields that are written only where they count something: readers that do not know them are not
troubled by windows without."""


@dataclass(frozen=True)
class WindowForm:
    """Shapes of the windows that one model makes."""

    shape: tuple[int, int, int]
    """K condition cells, S scores, H bins of the score histograms."""

    n_cells: int
    """V."""

    n_layers: int
    """L."""

    @cached_property
    def rows(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each dense field of a window in one region."""
        k, s, _ = self.shape
        latents = self.n_cells + self.n_layers
        return {
            "showers": (k,),
            "exceedances": (k, len(LEVELS)),
            "p_counts": (s + 1, len(P_EDGES) - 1),
            "z_sum": (latents,),
            "z_square": (latents,),
            "lit": (self.n_cells,),
            "layer_energy": (self.n_layers,),
            "unscored": (),
            "unknown": (),
        }

    @cached_property
    def row_bytes(self) -> int:
        """Return the memory of a row's dense fields."""
        return 8 * (4 + sum(math.prod(shape) for shape in self.rows.values()))

    @property
    def most_rows(self) -> int:
        """Return the rows whose counts fit into a record, even if nothing could be compressed."""
        counts = sum(math.prod(shape) for shape in self.rows.values())
        return min(MAX_SPREAD, MAX_RECORD_BYTES // (4 * counts))

    def check(self, schema: Any) -> int:
        """Return the memory of a row, or raise `DecodeError` unless a schema is of this form."""
        wanted = {*_KEY, "regions", *self.rows, *_SPARSE} | channel_columns.check(schema)
        names = {*schema.names, *_RARE}
        if names != wanted or len(set(schema.names)) != len(schema.names):
            raise DecodeError(Rejection.SCHEMA, f"columns {schema.names}"[:200])
        for name in (*_KEY, "regions"):
            _check_type(name, schema.field(name).type, pa.types.is_int64)
        for name in _SPARSE:
            _check_type(name, schema.field(name).type, _is_int64_list)
        for name, shape in self.rows.items():
            if name not in schema.names:
                continue
            kind = schema.field(name).type
            if not _is_fixed_list(kind) or kind.list_size != math.prod(shape):
                raise DecodeError(Rejection.SCHEMA, f"{name} is {kind}, not {shape}"[:200])
        return self.row_bytes

    def bins_per_row(self, window: Window) -> NDArray[np.int64]:
        """Return how many occupied score bins each region of a window has."""
        edges = np.append(window.regions, window.regions[-1:] + 1) * math.prod(self.shape)
        return np.diff(np.searchsorted(window.score_bins, edges))


class Stream(NamedTuple):
    """A partition of showers, as the windows topic knows it."""

    topic: str
    id: str
    """Of the topic: one that is made again has another. Empty where the broker has none."""

    partition: int


Moment = Annotated[int, Field(ge=0, le=LATEST_NS)]
"""Data time, ns since 1970 UTC."""

Reasons = dict[Annotated[str, Field(pattern="^[a-z][a-z ]{0,31}$")], Count]
NOT_REASONS = frozenset({"showers", "records", "missing"})
"""What is counted beside the reasons, by the same judge."""


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class Open:
    """A worker takes a partition over; the offset of this record is its token."""

    partition: Number32
    worker: str
    topic: str = topics.SHOWERS
    topic_id: str = ""
    group: str = ""
    """Consumer group that gave it the partition."""

    @property
    def stream(self) -> Stream:
        """Return what is taken over."""
        return Stream(self.topic, self.topic_id, self.partition)


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class Worst:
    """Where a strange shower is."""

    p: P
    partition: Number32
    offset: Count
    row: Number32
    event_id: EventId
    region: RegionId
    time_ns: Moment


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class Range:
    """What a contiguous stretch of one source partition came to, less its windows."""

    topic: str
    partition: Number32
    token: Count
    """Offset of the worker's `Open` on the windows topic."""

    begin: Count
    end: Count
    """Source offsets [begin, end) that are covered; equal if there is only news of being idle."""

    watermark_ns: Moment
    """Newest data time of the stretch, ns since 1970 UTC; 0 if it has none."""

    caught_up: bool
    """Nothing more was to be read."""

    showers: Count
    records: Count
    rejects: Reasons
    """Records that could not be taken, by reason."""

    missing: Count
    """Blocks that producers counted and nobody saw."""

    seqs: dict[str, Counted]
    """What each producer counted of each key, so that a hole shows across workers too: newest count
    and data time, ns; see `consumers.score.counts`."""

    worker: str
    model: str
    """Content hash of the artefact."""

    worst: tuple[Worst, ...] = ()
    shadow: str = ""
    """Content hash of the artefact that scored the same showers in shadow; empty if none did."""

    shadow_bytes: Count = 0
    """Length of the shadow's windows at the end of the record."""

    joint: tuple[Count, ...] = ()
    """Sums over both models' p-values, `monitor.judging.comparison.Joint`; empty without a shadow."""

    shed: tuple[tuple[Number32, Number32, RegionId, Count], ...] = ()
    """Run, lumisection, region and number of showers that were counted and not scored."""

    shed_until: Annotated[int, Field(ge=0, le=LATEST_NS // 10**9)] = 0
    """Newest data-second of such showers; 0 if there are none."""

    masked: str = ""
    """Digest of the cells that were masked in scoring, `Masked.digest`; empty for none."""

    answered_ms: Count = 0
    """How long ago the partition's broker last answered, ms: `caught_up` is as old as that."""

    said_ms: Count = 0
    """When it was said, by the worker's clock, ms since 1970 UTC; nothing is judged by it."""

    topic_id: str = ""
    group: str = ""
    """Consumer group of the worker."""

    follows: Count | None = None
    """End of the range before, where it is another place than `begin`: below it, what lies between
    had expired unread; above it, the log had become shorter and goes on from there."""

    lost_ns: tuple[Moment, Moment] = (0, 0)
    """Newest data time before what was lost and first after it, ns; 0 where unknown."""

    epoch: Annotated[int, Field(ge=-1, lt=2**31)] = -1
    """Leader epoch of the last record taken in the partition."""

    last: str = ""
    """Digest of that record, `consumers.wire.record.digest`; empty before the first."""

    def __post_init__(self) -> None:
        if self.end < self.begin:
            raise ValueError(f"ends at {self.end}, before it begins at {self.begin}")
        if self.shadow_bytes and not self.shadow:
            raise ValueError("windows of a shadow without a name")
        if self.joint:
            Joint.from_list([*self.joint])
        if not NOT_REASONS.isdisjoint(self.rejects):
            raise ValueError("a reason for rejects has a name that is taken")

    @property
    def stream(self) -> Stream:
        """Return the partition that it covers a part of."""
        return Stream(self.topic, self.topic_id, self.partition)

    @property
    def after(self) -> int:
        """Return the end of the range that it goes on from."""
        return self.begin if self.follows is None else self.follows

    @property
    def lost(self) -> int:
        """Return how many offsets had expired unread before `begin`."""
        return max(0, self.begin - self.after)

    @property
    def cut(self) -> int:
        """Return how many offsets that had counted the log has no more, or has with others."""
        return max(0, self.after - self.begin)


@with_config(SPOKEN)
@dataclass(frozen=True, slots=True)
class PersonSaid:
    """Something that a person has said to the judge: an acknowledgement, a command."""

    what: str
    body: dict[str, Any] = field(default_factory=dict)


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class _Plain:
    """A record of the windows topic that is JSON; one of the two is there."""

    open: Open | None = None
    said: PersonSaid | None = None


_LATER = ("answered_ms", "said_ms", "topic_id", "group", "follows", "lost_ns", "epoch", "last")
_PLAIN = TypeAdapter(_Plain)
_RANGE = TypeAdapter(Range)


def encode_open(entry: Open) -> bytes:
    """Return the wire form of an `Open`."""
    return orjson.dumps({"open": schema.told(entry, "topic", "topic_id", "group")})


def encode_said(entry: PersonSaid) -> bytes:
    """Return the wire form of what was said."""
    return orjson.dumps({"said": entry})


def encode_range(
    entry: Range, windows: Sequence[Window], form: WindowForm, shadow: bytes = b""
) -> bytes:
    """Return the wire form of a range with its windows, and those of a shadow that are encoded."""
    entry = replace(entry, shadow_bytes=len(shadow))
    text = orjson.dumps(schema.told(entry, *_LATER)).decode()
    return encode_windows(windows, form, {"calodqm.range": text}) + shadow


def encode_windows(
    windows: Sequence[Window], form: WindowForm, further: dict[str, str] | None = None
) -> bytes:
    """Return windows as an Arrow stream; `windows` reads them."""
    rows = [len(w.regions) for w in windows]
    columns: dict[str, Any] = {
        name: pa.array(np.repeat([getattr(w.key, name) for w in windows], rows).astype(np.int64))
        for name in _KEY
    }
    columns["regions"] = pa.array(_joined([w.regions for w in windows]))
    for name, shape in form.rows.items():
        if name in _RARE and not any(getattr(w, name).any() for w in windows):
            continue
        flat = _narrow(_joined([getattr(w, name).reshape(-1) for w in windows]))
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(flat), math.prod(shape))
    lengths = _joined([form.bins_per_row(w) for w in windows])
    starts = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    for name in _SPARSE:
        flat = pa.array(_joined([getattr(w, name) for w in windows]))
        columns[name] = pa.ListArray.from_arrays(starts, flat)
    columns |= channel_columns.written(windows, rows)
    metadata = {"calodqm.windows": FORMAT, **(further or {})}
    schema = pa.schema([(n, c.type) for n, c in columns.items()], metadata=metadata)
    sink = pa.BufferOutputStream()
    # Counts are small numbers in wide fields: zstd makes a tenth of them.
    options = ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1))
    with ipc.new_stream(sink, schema, options=options) as writer:
        if windows:
            writer.write_batch(pa.RecordBatch.from_arrays(list(columns.values()), schema=schema))
    value: bytes = sink.getvalue().to_pybytes()
    return value


def header(value: bytes | None) -> Open | Range | PersonSaid:
    """Return what a record of the windows topic is, without its windows.

    Raises
    ------
    DecodeError
        If it is none of the three.
    """
    if not value:
        raise DecodeError(Rejection.EMPTY, "no bytes")
    if value[:1] == b"{":
        plain = schema.read(_PLAIN, value)
        entry = plain.open or plain.said
        if entry is None:
            raise DecodeError(Rejection.SCHEMA, "neither opens nor says anything")
        return entry
    metadata = arrow_stream.peek(value)
    form = metadata.get("calodqm.windows")
    if form != FORMAT:
        raise DecodeError(Rejection.SCHEMA, f"form {form!r} of windows; this reads {FORMAT!r}")
    told = schema.read(_RANGE, metadata.get("calodqm.range"))
    return told if len(told.worst) <= MAX_WORST else replace(told, worst=told.worst[:MAX_WORST])


def windows(value: bytes, form: WindowForm) -> list[Window]:
    """Return the windows of a range whose `header` was read.

    Raises
    ------
    DecodeError
        If they are damaged, or of another shape than `form`.
    """
    if not value or _is_bare(value):
        return []
    _, batch = arrow_stream.read_stream(value, form.check, MAX_ROWS, MAX_BYTES)
    if any(_holes(column) for column in batch.columns):
        raise DecodeError(Rejection.VALUE, "has nulls")
    return _windows(batch, form)


def seconds(value: bytes) -> set[int]:
    """Return the data-seconds of a range's windows, of whatever form they are.

    Raises
    ------
    DecodeError
        If they are damaged.
    """
    if not value or _is_bare(value):
        return set()
    _, batch = arrow_stream.read_stream(value, _row_bytes, MAX_ROWS, MAX_BYTES)
    return set(batch.column("second").to_pylist())


def _row_bytes(schema: Any) -> int:
    """Return the memory of a row's dense fields, or raise `DecodeError` if it has no second."""
    if "second" not in schema.names or schema.field("second").type != pa.int64():
        raise DecodeError(Rejection.SCHEMA, f"columns {schema.names}"[:200])
    kinds = [field.type for field in schema]
    return 8 * sum(k.list_size if pa.types.is_fixed_size_list(k) else 1 for k in kinds)


def parts(value: bytes, entry: Range) -> dict[str, bytes]:
    """Return the windows of a range whose `header` was read, by model, for `windows` to read.

    Raises
    ------
    DecodeError
        If the record is shorter than it says.
    """
    if not entry.shadow:
        return {entry.model: value}
    cut = len(value) - entry.shadow_bytes
    if cut <= 0:
        raise DecodeError(Rejection.TRUNCATED, f"{len(value)} bytes, {entry.shadow_bytes} of them")
    return {entry.model: value[:cut], entry.shadow: value[cut:]}


def _is_bare(value: bytes) -> bool:
    """Return whether a stream ends after its schema: a range without windows."""
    length = int.from_bytes(value[4:8], "little")
    return value[8 + length :] in {b"", b"\xff\xff\xff\xff\0\0\0\0"}


def _windows(batch: Any, form: WindowForm) -> list[Window]:
    keys = np.stack([batch.column(name).to_numpy() for name in _KEY], axis=1)
    dense = {
        name: _values(batch.column(name).values).reshape(len(keys), *shape)
        if name in batch.schema.names
        else np.zeros((len(keys), *shape), np.int64)
        for name, shape in form.rows.items()
    }
    sparse = {name: _values(batch.column(name).values) for name in _SPARSE}
    starts = batch.column("score_bins").offsets.to_numpy()
    regions = _values(batch.column("regions"))
    edges = np.flatnonzero(np.any(np.diff(keys, axis=0), axis=1)) + 1
    lengths = np.diff(starts)
    if not np.array_equal(starts, batch.column("score_counts").offsets.to_numpy()):
        raise DecodeError(Rejection.VALUE, "bins of scores and their counts are not alike")
    _check_counts(dense, sparse["score_counts"])
    _check_order(keys, regions, edges)
    _check_bins(np.repeat(regions, lengths), sparse["score_bins"], math.prod(form.shape))
    found = []
    channels = channel_columns.read(batch, [0, *edges.tolist()])
    for begin, end, its in zip([0, *edges], [*edges, len(keys)], channels, strict=True):
        bins = slice(int(starts[begin]), int(starts[end]))
        found.append(
            Window(
                key=WindowKey(*keys[begin].tolist()),
                regions=regions[begin:end],
                **{name: values[begin:end] for name, values in dense.items()},
                **{name: values[bins] for name, values in sparse.items()},
                channels=its,
            )
        )
    return found


def _check_counts(dense: dict[str, NDArray[np.int64]], counts: NDArray[np.int64]) -> None:
    """Raise `DecodeError` unless counts are such as add up without overflow."""
    for name, values in {**dense, "score_counts": counts}.items():
        least = -LARGEST if name in _SIGNED else 0
        if values.size and not (least <= int(values.min()) <= int(values.max()) <= LARGEST):
            raise DecodeError(Rejection.VALUE, f"{name} holds what no count can be")


def _check_order(
    keys: NDArray[np.int64], regions: NDArray[np.int64], edges: NDArray[np.int64]
) -> None:
    """Raise `DecodeError` unless keys can be, come once each, and regions rise in each window."""
    if not ((keys >= 0) & (keys <= _LAST_KEY)).all():
        raise DecodeError(Rejection.TIME, "run, lumisection or second out of bounds")
    starts = keys[np.append(0, edges)]
    if len(np.unique(starts, axis=0)) != len(starts):
        raise DecodeError(Rejection.VALUE, "windows of one key stand apart")
    falls = np.flatnonzero(np.diff(regions) <= 0) + 1
    if not ((regions >= 0) & (regions < 2**16)).all() or not np.isin(falls, edges).all():
        raise DecodeError(Rejection.REGION, "regions of a window do not rise")


def _check_bins(regions: NDArray[np.int64], bins: NDArray[np.int64], size: int) -> None:
    """Raise `DecodeError` unless the bins of scores lie in those of their regions."""
    if not ((bins >= 0) & (bins // size == regions)).all():
        raise DecodeError(Rejection.VALUE, "a bin of scores lies in another region")


def _check_type(name: str, kind: Any, right: Callable[[Any], bool]) -> None:
    if not right(kind):
        raise DecodeError(Rejection.SCHEMA, f"{name} is {kind}"[:200])


def _is_int64_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) and pa.types.is_int64(kind.value_type))


def _is_fixed_list(kind: Any) -> bool:
    return pa.types.is_fixed_size_list(kind) and kind.value_type in {pa.int32(), pa.int64()}


def _holes(column: Any) -> bool:
    inner = getattr(column, "values", None)  # of a list
    return bool(column.null_count or (inner is not None and inner.null_count))


def _values(column: Any) -> NDArray[np.int64]:
    return np.asarray(column.to_numpy(zero_copy_only=True)).astype(np.int64)


def _joined(arrays: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)


def _narrow(values: NDArray[np.int64]) -> NDArray[Any]:
    fits = not values.size or max(-int(values.min()), int(values.max())) < 2**31
    return values.astype(np.int32) if fits else values
