"""Block: what one record on `calo.showers.v1` carries, and the bounds that every record must keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.showers.batch import Showers

SCHEMA = 1
"""Version of the record format; a record of another version is rejected."""

MAX_SHOWERS = 16_384
MAX_CONDITIONS = 16
MAX_NAME = 64
"""Longest name of a producer, a geometry or a condition, characters."""

MAX_SPAN_NS = 60 * 10**9
"""Longest stretch of data time in one record: a wrong clock must not scatter windows."""

LATEST_NS = 2**62
"""Latest data time that can be written, ns since 1970 UTC (the year 2116)."""

COLUMNS = ("event_id", "time", "run", "lumisection", "region", "e_inc", "showers")
"""What every record has; further columns are further conditions."""


class DecodeError(ValueError):
    """The payload is not a block of showers; `reason` is a metric label."""

    def __init__(self, reason: Rejection, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """N >= 1 showers with their coordinates."""

    showers: Showers
    event_id: NDArray[np.uint64]
    """Number that the data acquisition gave each shower, shape (N,)."""

    time_ns: NDArray[np.int64]
    """Data time, ns since 1970 UTC, shape (N,), in [0, LATEST_NS]."""

    run: NDArray[np.int64]
    """Shape (N,), in [0, 2**32)."""

    lumisection: NDArray[np.int64]
    """Shape (N,), in [0, 2**32)."""

    region: NDArray[np.int64]
    """Region id, shape (N,), in [0, 65535]."""

    producer: str
    """Who sent it; with `seq` it shows lost records. Empty if the producer does not say."""

    seq: int
    """Count of this producer's records, in [0, 2**63)."""

    def __post_init__(self) -> None:
        columns = (self.event_id, self.time_ns, self.run, self.lumisection, self.region)
        if self.showers.n < 1 or any(column.shape != (self.showers.n,) for column in columns):
            raise DecodeError(Rejection.SCHEMA, "columns must be of one length, at least 1")
        first, last = int(self.time_ns.min()), int(self.time_ns.max())
        if not 0 <= first <= last <= LATEST_NS:
            raise DecodeError(Rejection.TIME, f"data time from {first} to {last} ns")
        if last - first > MAX_SPAN_NS:
            raise DecodeError(Rejection.TIME, f"spans {(last - first) / 1e9:.0f} s of data time")
        if len(self.producer) > MAX_NAME or not 0 <= self.seq < 2**63:
            raise DecodeError(Rejection.SCHEMA, "producer or seq out of bounds")


def check_schema(version: str | None) -> None:
    """Raise `DecodeError` unless a record is of the version that this software reads.

    It comes before any other look: what a later version means by its columns is not known here.
    """
    if version != str(SCHEMA):
        shown = None if version is None else version[:MAX_NAME]
        text = f"schema {shown!r}; this software reads {SCHEMA}: is the producer newer than it?"
        raise DecodeError(Rejection.SCHEMA, text)


def check_geometry(name: object, geometry: Geometry) -> None:
    """Raise `DecodeError` unless a record names the geometry that is expected."""
    if name != geometry.name:
        shown = name[:MAX_NAME] if isinstance(name, str) else name
        raise DecodeError(Rejection.GEOMETRY, f"{shown!r}, not {geometry.name!r}")


def check_conditions(names: list[str]) -> None:
    """Raise `DecodeError` if further columns are too many or badly named."""
    if len(names) > MAX_CONDITIONS or any(not 0 < len(name) <= MAX_NAME for name in names):
        raise DecodeError(Rejection.SCHEMA, f"{len(names)} further columns, or one badly named")
