"""Settings of a score worker."""

from __future__ import annotations

import math
from dataclasses import dataclass

from consumers.wire import topics
from consumers.wire.block import EARLIEST_NS


@dataclass(frozen=True)
class WorkerSettings:
    """What an operator may set."""

    name: str
    topic: str = topics.SHOWERS
    emit_s: float = 0.5
    """Wall-clock time between ranges, s."""

    range_bytes: int = 1 << 20
    """Memory of windows at which a range is said before its time: it must fit into a record."""

    batch: int = 2048
    """Most showers scored at once."""

    shed_after_s: float = math.inf
    """A record that has waited this long is counted and not scored, s; infinite: all are scored."""

    skip: frozenset[str] = frozenset()
    """Places of records that are passed over, as the log writes them."""

    earliest_ns: int = EARLIEST_NS
    """Earliest data time that can be true, ns since 1970 UTC."""

    heartbeat_s: float = 1.0
    """A partition without news says so this often, s."""

    group: str = ""
    """Consumer group that shares the partitions out."""

    patience_s: float = 10.0
    """A partition that another worker of the group has opened is opened anew if the group still
    gives it to us after this, s: a session, in which it would have told us."""
