"""What stands on the windows topic: opens, ranges of windows, and what people say.

A range is an Arrow stream with a row per window and region; its coordinates are in the schema's
metadata, so that a reader who needs only those does not expand the counts. Where a second model
scored the same showers in shadow, its windows follow as a stream of their own in the same record:
a range carries both or is not there.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
from pyarrow import ipc

from consumers.wire import arrow_form, topics
from consumers.wire.block import DecodeError
from monitor.judging.comparison import Joint
from monitor.quality.rejection import Rejection
from monitor.windows.window import LEVELS, P_EDGES, Window, WindowKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FORMAT = "1"
MAX_ROWS = 4096
MAX_BYTES = 512 << 20
"""Most memory that the windows of a range may take."""

MAX_WORST = 8
"""Most worst showers that a range points at."""

_KEY = WindowKey._fields
_SPARSE = ("score_bins", "score_counts")


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
        }

    @cached_property
    def row_bytes(self) -> int:
        """Return the memory of a row's dense fields."""
        return 8 * (4 + sum(math.prod(shape) for shape in self.rows.values()))

    def check(self, schema: Any) -> int:
        """Return the memory of a row, or raise `DecodeError` unless a schema is of this form."""
        wanted = {*_KEY, "regions", *self.rows, *_SPARSE}
        if set(schema.names) != wanted or len(schema.names) != len(wanted):
            raise DecodeError(Rejection.SCHEMA, f"columns {schema.names}"[:200])
        for name, shape in self.rows.items():
            kind = schema.field(name).type
            if not pa.types.is_fixed_size_list(kind) or kind.list_size != math.prod(shape):
                raise DecodeError(Rejection.SCHEMA, f"{name} is {kind}, not {shape}")
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


@dataclass(frozen=True, slots=True)
class Open:
    """A worker takes a partition over; the offset of this record is its token."""

    partition: int
    worker: str
    topic: str = topics.SHOWERS
    topic_id: str = ""
    group: str = ""
    """Consumer group that gave it the partition."""

    @property
    def stream(self) -> Stream:
        """Return what is taken over."""
        return Stream(self.topic, self.topic_id, self.partition)


@dataclass(frozen=True, slots=True)
class Worst:
    """Where a strange shower is."""

    p: float
    partition: int
    offset: int
    row: int
    event_id: int
    region: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class Range:
    """What a contiguous stretch of one source partition came to, less its windows."""

    topic: str
    partition: int
    token: int
    """Offset of the worker's `Open` on the windows topic."""

    begin: int
    end: int
    """Source offsets [begin, end) that are covered; equal if there is only news of being idle."""

    watermark_ns: int
    """Newest data time seen in the partition, ns since 1970 UTC; 0 before the first."""

    caught_up: bool
    """Nothing more was to be read."""

    showers: int
    records: int
    rejects: dict[str, int]
    """Records that could not be taken, by reason."""

    missing: int
    """Blocks that producers counted and nobody saw."""

    seqs: dict[str, int]
    """Newest count of each producer in the partition, so that a hole shows across workers too."""

    worker: str
    model: str
    """Content hash of the artefact."""

    worst: tuple[Worst, ...] = ()
    shadow: str = ""
    """Content hash of the artefact that scored the same showers in shadow; empty if none did."""

    shadow_bytes: int = 0
    """Length of the shadow's windows at the end of the record."""

    joint: tuple[int, ...] = ()
    """Sums over both models' p-values, `monitor.judging.comparison.Joint`; empty without a shadow."""

    shed: tuple[tuple[int, int, int, int], ...] = ()
    """Run, lumisection, region and number of showers that were counted and not scored."""

    shed_until: int = 0
    """Newest data-second of such showers; 0 if there are none."""

    masked: str = ""
    """Digest of the cells that were masked in scoring, `Masked.digest`; empty for none."""

    topic_id: str = ""
    group: str = ""
    """Consumer group of the worker."""

    follows: int | None = None
    """End of the range before, where it is another place than `begin`: below it, what lies between
    had expired unread; above it, the log had become shorter and goes on from there."""

    lost_ns: tuple[int, int] = (0, 0)
    """Newest data time before what was lost and first after it, ns; 0 where unknown."""

    epoch: int = -1
    """Leader epoch of the last record taken in the partition."""

    last: str = ""
    """Digest of that record, `consumers.wire.record.digest`; empty before the first."""

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


_OPEN = frozenset(f.name for f in fields(Open))
_RANGE = frozenset(f.name for f in fields(Range))


@dataclass(frozen=True, slots=True)
class Said:
    """Something that a person has said to the judge: an acknowledgement, a command."""

    what: str
    body: dict[str, Any] = field(default_factory=dict)


def encode_open(entry: Open) -> bytes:
    """Return the wire form of an `Open`."""
    return orjson.dumps({"open": asdict(entry)})


def encode_said(entry: Said) -> bytes:
    """Return the wire form of what was said."""
    return orjson.dumps({"said": asdict(entry)})


def encode_range(
    entry: Range, windows: Sequence[Window], form: WindowForm, shadow: bytes = b""
) -> bytes:
    """Return the wire form of a range with its windows, and those of a shadow that are encoded."""
    entry = replace(entry, shadow_bytes=len(shadow))
    text = orjson.dumps(asdict(entry)).decode()
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
        flat = _narrow(_joined([getattr(w, name).reshape(-1) for w in windows]))
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(flat), math.prod(shape))
    lengths = _joined([form.bins_per_row(w) for w in windows])
    starts = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    for name in _SPARSE:
        flat = pa.array(_joined([getattr(w, name) for w in windows]))
        columns[name] = pa.ListArray.from_arrays(starts, flat)
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


def header(value: bytes | None) -> Open | Range | Said:
    """Return what a record of the windows topic is, without its windows.

    Raises
    ------
    DecodeError
        If it is none of the three.
    """
    if not value:
        raise DecodeError(Rejection.EMPTY, "no bytes")
    try:
        if value[:1] == b"{":
            return _plain(orjson.loads(value))
        metadata = arrow_form.peek(value)
        form = metadata.get("calodqm.windows")
        if form != FORMAT:
            raise DecodeError(Rejection.SCHEMA, f"form {form!r} of windows; this reads {FORMAT!r}")
        return _range(orjson.loads(metadata["calodqm.range"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if type(error) is DecodeError:
            raise
        raise DecodeError(Rejection.CORRUPT, f"{type(error).__name__}: {error}"[:200]) from None


def windows(value: bytes, form: WindowForm) -> list[Window]:
    """Return the windows of a range whose `header` was read.

    Raises
    ------
    DecodeError
        If they are damaged, or of another shape than `form`.
    """
    if not value or _is_bare(value):
        return []
    _, batch = arrow_form.read_stream(value, form.check, MAX_ROWS, MAX_BYTES)
    try:
        return _windows(batch, form)
    except (KeyError, TypeError, ValueError) as error:
        raise DecodeError(Rejection.CORRUPT, f"{type(error).__name__}: {error}"[:200]) from None


def seconds(value: bytes) -> set[int]:
    """Return the data-seconds of a range's windows, of whatever form they are.

    Raises
    ------
    DecodeError
        If they are damaged.
    """
    if not value or _is_bare(value):
        return set()
    _, batch = arrow_form.read_stream(value, _row_bytes, MAX_ROWS, MAX_BYTES)
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


def _plain(fields_: dict[str, Any]) -> Open | Said:
    if "open" in fields_:
        entry = Open(**{n: value for n, value in fields_["open"].items() if n in _OPEN})
        words = (entry.worker, entry.topic, entry.topic_id, entry.group)
        if type(entry.partition) is not int or any(type(word) is not str for word in words):
            raise DecodeError(Rejection.SCHEMA, "open: partition and worker")
        return entry
    said = Said(**fields_["said"])
    if type(said.what) is not str or type(said.body) is not dict:
        raise DecodeError(Rejection.SCHEMA, "said: what and body")
    return said


def _range(fields_: dict[str, Any]) -> Range:
    # What a newer worker says beside is nothing to us: workers and judges are renewed in turn.
    named = {name: value for name, value in fields_.items() if name in _RANGE}
    worst = tuple(Worst(**entry) for entry in named.pop("worst"))
    joint = tuple(named.pop("joint", ()))
    if joint:
        Joint.from_list([*joint])
    shed = tuple(_shed(row) for row in named.pop("shed", ()))
    lost_ns = tuple(named.pop("lost_ns", (0, 0)))
    entry = Range(
        **named, worst=worst[:MAX_WORST], joint=joint, shed=shed, lost_ns=(lost_ns[0], lost_ns[1])
    )
    whole = (
        entry.partition, entry.token, entry.begin, entry.end, entry.watermark_ns,
        entry.shadow_bytes, entry.shed_until, entry.after, *entry.lost_ns, entry.epoch + 1,
    )  # fmt: skip
    if any(type(number) is not int or number < 0 for number in whole) or entry.end < entry.begin:
        raise DecodeError(Rejection.SCHEMA, "range: offsets must be whole numbers that rise")
    words = (entry.masked, entry.shadow, entry.topic, entry.topic_id, entry.group, entry.last)
    if any(type(word) is not str for word in words) or (entry.shadow_bytes and not entry.shadow):
        raise DecodeError(Rejection.SCHEMA, "range: windows of a shadow without a name")
    return entry


def _shed(row: Any) -> tuple[int, int, int, int]:
    run, lumisection, region, n = row
    if any(type(number) is not int or number < 0 for number in row):
        raise DecodeError(Rejection.SCHEMA, "range: what was not scored is given in whole numbers")
    return run, lumisection, region, n


def _is_bare(value: bytes) -> bool:
    """Return whether a stream ends after its schema: a range without windows."""
    length = int.from_bytes(value[4:8], "little")
    return value[8 + length :] in {b"", b"\xff\xff\xff\xff\0\0\0\0"}


def _windows(batch: Any, form: WindowForm) -> list[Window]:
    keys = np.stack([batch.column(name).to_numpy() for name in _KEY], axis=1)
    dense = {
        name: _values(batch.column(name).values).reshape(len(keys), *shape)
        for name, shape in form.rows.items()
    }
    sparse = {name: _values(batch.column(name).values) for name in _SPARSE}
    starts = batch.column("score_bins").offsets.to_numpy()
    regions = _values(batch.column("regions"))
    edges = np.flatnonzero(np.any(np.diff(keys, axis=0), axis=1)) + 1
    found = []
    for begin, end in zip([0, *edges], [*edges, len(keys)], strict=True):
        bins = slice(int(starts[begin]), int(starts[end]))
        found.append(
            Window(
                key=WindowKey(*keys[begin].tolist()),
                regions=regions[begin:end],
                **{name: values[begin:end] for name, values in dense.items()},
                **{name: values[bins] for name, values in sparse.items()},
            )
        )
    return found


def _values(column: Any) -> NDArray[np.int64]:
    return np.asarray(column.to_numpy(zero_copy_only=True)).astype(np.int64)


def _joined(arrays: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)


def _narrow(values: NDArray[np.int64]) -> NDArray[Any]:
    fits = not values.size or max(-int(values.min()), int(values.max())) < 2**31
    return values.astype(np.int32) if fits else values
