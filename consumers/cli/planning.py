"""Planning: what a service of some size needs, by figures that were measured on this software.

Every constant says on what it was measured; what was not measured is not here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from consumers.app.needs import REFERENCE_CELLS, judge_mib

DAY_S = 86_400
LUMISECTION_S = 23

BYTES_A_CELL = 1.92
"""Of a shower on the wire, lz4: 969 bytes with 504 cells."""

BYTES_A_RECORD = 1_600
"""More than its showers: columns, schema, what the producer counts."""

ROW_BYTES, ROW_BYTES_MOST = 1_200.0, 6_400.0
"""Of a row of windows, of 504 cells, at one shower and with very many: 2,503 and 3,600 bytes were
measured with 5 and 21 showers; see `row_bytes`."""

SECTION_BYTES, SECTION_POWER = 5_243.0, 0.309
"""Of a region in a lumisection of 361 showers, and how it grows: 8,020 bytes with 1,431."""

STATE_BYTES, STATE_BYTES_A_REGION = 0.9e6, 82e3
"""Of a snapshot of 504 cells, zstd: 2.2, 5.7 and 21.9 MB with 16, 64 and 256 regions."""

VERDICT_BYTES = 430
STRANGE_BYTES = 6.2
"""Of the topic of strange showers, for each shower of good data."""

CPU_US = 95.0
"""Of one shower, from record to verdict, no less than `calodqm bench scale` measured with any number of
workers (deploy/figures/scale.json). On an Intel Xeon with AVX-512 it is 31 compiled and 42 as it is; an
AMD EPYC, whose scorer took 2.2 times as long, is reckoned with here."""

SPARE = 1.5
WORKER_MIB = 1_500


@dataclass(frozen=True, slots=True)
class Site:
    """What is to be served."""

    regions: int
    rate: float
    """Showers a second in the whole detector."""

    partitions: int
    replicas: int
    cells: int = REFERENCE_CELLS
    block: int = 256
    """Showers in a record, at most."""

    emit_s: float = 0.5
    snapshot_s: float = 60.0

    @property
    def scale(self) -> float:
        """Return how much larger what is said of cells is than with 504 of them."""
        return self.cells / REFERENCE_CELLS


@dataclass(frozen=True, slots=True)
class Kept:
    """What one topic takes, before copies."""

    topic: str
    day: float
    """Bytes that are written in a day."""

    days: float
    """For how long they lie there; 0 where only the newest stays."""

    newest: float = 0.0
    """Bytes of what stays for ever."""

    @property
    def disk(self) -> float:
        """Return the bytes that lie there after long."""
        return self.day * self.days + self.newest


def rows_a_second(site: Site) -> float:
    """Return the rows of windows: a region has one for each range that its second is told in."""
    pieces = 1 + 1 / site.emit_s
    # With few showers not every piece of a second has one.
    return site.regions * pieces * (1 - math.exp(-site.rate / site.regions / pieces))


def row_bytes(site: Site) -> float:
    """Return the bytes of a row: sums of cells over more showers have more digits."""
    showers = site.rate / rows_a_second(site)
    digits = math.log2(1 + showers) / math.log2(1 + 1000)
    return site.scale * (ROW_BYTES + (ROW_BYTES_MOST - ROW_BYTES) * min(1.0, digits))


def topics(site: Site) -> list[Kept]:
    """Return what each topic takes."""
    a_record = min(site.block, max(1.0, site.rate / site.regions))
    showers = site.rate * (site.cells * BYTES_A_CELL + BYTES_A_RECORD / a_record)
    windows = rows_a_second(site) * row_bytes(site)
    state = site.scale * (STATE_BYTES + STATE_BYTES_A_REGION * site.regions)
    sections = DAY_S / LUMISECTION_S * site.regions
    many = site.rate / site.regions * LUMISECTION_S / 361
    lumisections = sections * site.scale * SECTION_BYTES * many**SECTION_POWER
    return [
        Kept("calo.showers.v1", showers * DAY_S, 2),
        Kept("calo.windows.v1", windows * DAY_S, 2),
        Kept("calo.state.v1", state * DAY_S / site.snapshot_s, 0, 2 * state + (64 << 20)),
        Kept("calo.lumisections.v1", lumisections, 366),
        Kept("calo.quality.v1", sections * VERDICT_BYTES, 366),
        Kept("calo.anomalies.v1", site.rate * STRANGE_BYTES * site.scale * DAY_S, 7),
    ]


def workers(site: Site) -> int:
    """Return the score workers, a core each, with something to spare."""
    return max(1, math.ceil(site.rate * CPU_US * site.scale * SPARE / 1e6))


def memory_mib(site: Site) -> tuple[int, int]:
    """Return the memory of all workers, and that of a judge."""
    return workers(site) * WORKER_MIB, round(judge_mib(site.regions, site.cells))


def network(site: Site) -> tuple[float, float]:
    """Return the bytes a second that come in at the brokers, and that go out, copies included."""
    written = sum(kept.day for kept in topics(site)) / DAY_S
    # Workers read showers; two judges of which one waits read windows once.
    read = sum(kept.day for kept in topics(site)[:2]) / DAY_S
    return written * site.replicas, read + written * (site.replicas - 1)
