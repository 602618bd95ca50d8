"""Block: what one record on `calo.showers.v1` carries, and the bounds that every record must keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.showers.batch import Showers

SCHEMA = 1
"""Version of the record format; a record of another version is rejected."""

MAX_SHOWERS = 16_384
MAX_CONDITIONS = 16
MAX_NAME = 64
"""Longest name of a producer, a geometry or a condition, characters."""

MAX_SPAN_NS = 60 * 10**9
"""Longest stretch of data time in one record: a wrong clock must not scatter windows."""

MAX_SPREAD = 1024
"""Most rows of windows that a record may make where no model says less: a row is of a data-second,
run, lumisection and region."""

EARLIEST_NS = 946_684_800 * 10**9
"""Earliest data time that can be true unless somebody says otherwise, ns since 1970 UTC (2000)."""

LATEST_NS = 2**62
"""Latest data time that can be written, ns since 1970 UTC (the year 2116)."""


class DecodeError(ValueError):
    """The payload is not a block of showers; `reason` is a metric label, `faults` all that is wrong."""

    def __init__(self, reason: Rejection, *faults: str) -> None:
        self.reason = reason
        self.faults = faults
        self.detail = "; ".join(faults)
        super().__init__(f"{reason}: {self.detail}")


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What a record must agree with, beside its form and its geometry."""

    regions: frozenset[int] | None = None
    """Ids of the detector's regions; None takes any."""

    conditions: tuple[str, ...] = ()
    """Names of the further conditions that the model needs."""

    earliest_ns: int = EARLIEST_NS
    """Earliest data time that can be true, ns since 1970 UTC."""

    most_rows: int = MAX_SPREAD
    """Most rows of windows that a record may make."""

    region_of_seed: NDArray[np.int64] | None = None
    """Region id of each channel that a shower may be centred on, -1 for other channels, shape (C,);
    None where the detector file says no channels: seeds are then taken as they are."""


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

    seq: int | None
    """Count of this producer's records of one key, in [0, 2**63); None if it does not count."""

    def __post_init__(self) -> None:
        columns = (self.event_id, self.time_ns, self.run, self.lumisection, self.region)
        if self.showers.n < 1 or any(column.shape != (self.showers.n,) for column in columns):
            raise DecodeError(Rejection.SCHEMA, "columns must be of one length, at least 1")
        first, last = int(self.time_ns.min()), int(self.time_ns.max())
        if not 0 <= first <= last <= LATEST_NS:
            raise DecodeError(Rejection.TIME, f"data time from {first} to {last} ns")
        if last - first > MAX_SPAN_NS:
            raise DecodeError(Rejection.TIME, f"spans {(last - first) / 1e9:.0f} s of data time")
        if len(self.producer) > MAX_NAME or not 0 <= (self.seq or 0) < 2**63:
            raise DecodeError(Rejection.SCHEMA, "producer or seq out of bounds")

    def spread(self) -> int:
        """Return how many rows of windows it makes."""
        place = (self.time_ns // 10**9) * 65536 + self.region
        section = (self.run << 32) | self.lumisection  # of 32 bits each
        if (section == section[0]).all():
            return len(np.unique(place))
        return len(np.unique(np.stack([place, section], axis=1), axis=0))
