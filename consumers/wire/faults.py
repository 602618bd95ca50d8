"""Faults: all that is wrong with a record, found one by one and told at once."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.wire.block import (
    LATEST_NS,
    MAX_NAME,
    MAX_SPAN_NS,
    SCHEMA,
    Block,
    DecodeError,
)
from consumers.wire.contract import CELLS, SEED, TIME
from models.showers.batch import E_MAX, Showers, ShowersError
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from consumers.wire.block import Expected
    from models.detector.geometry import Geometry

logger = logging.getLogger(__name__)

MAX_TOLD = 12
"""Most faults that are named: who mends twelve looks again anyway."""

_RANK = tuple(Rejection)
_CLOCKS = {"seconds": 10**9, "milliseconds": 10**6, "microseconds": 10**3}


class Faults:
    """What is wrong with one record, as far as it was looked at."""

    def __init__(self) -> None:
        self._found: list[tuple[Rejection, str]] = []

    def add(self, reason: Rejection, text: str) -> None:
        """Take note of a fault."""
        self._found.append((reason, text))

    def __bool__(self) -> bool:
        return bool(self._found)

    def error(self) -> DecodeError:
        """Return the error of all faults; its reason is the one that must be mended first."""
        reason = min((reason for reason, _ in self._found), key=_RANK.index)
        texts = [text for _, text in self._found]
        more = [f"and {len(texts) - MAX_TOLD} more"] if len(texts) > MAX_TOLD else []
        return DecodeError(reason, *texts[:MAX_TOLD], *more)


def check_schema(version: str | None) -> None:
    """Raise `DecodeError` unless a record is of the version that this software reads.

    It comes before any other look: what a later version means by its columns is not known here.
    """
    if version is None or version == str(SCHEMA):
        return
    text = f"schema {version[:MAX_NAME]!r}; this software reads {SCHEMA}"
    later = version.isascii() and version.isdigit() and int(version[:18]) > SCHEMA
    text += ": is the producer newer than it?" if later else f": write {str(SCHEMA)!r}"
    raise DecodeError(Rejection.SCHEMA, text)


def check_geometry(name: object, geometry: Geometry, faults: Faults) -> None:
    """Note if a record does not name the geometry that is expected."""
    if name != geometry.name:
        shown = name[:MAX_NAME] if isinstance(name, str) else name
        faults.add(Rejection.GEOMETRY, f"geometry {shown!r}, {geometry.name!r} is wanted")


def checked(
    columns: Mapping[str, NDArray[Any]],
    about: tuple[str, int | None],
    expected: Expected,
    latest_ns: int,
    faults: Faults,
) -> Block:
    """Return the block of a record's columns, or raise `DecodeError` with all that is wrong.

    Parameters
    ----------
    columns
        Those that could be read, by name, of one length.
    about
        Producer and seq.
    faults
        What was found so far.
    """
    for name in expected.conditions:
        if name not in columns:
            faults.add(Rejection.SCHEMA, f"no column {name}: the model needs it")
    if not faults:
        try:
            block = _made(columns, about)
            if _agrees(block, expected, latest_ns):
                return block
        except (ShowersError, DecodeError) as error:
            logger.debug("%s: looked at more slowly", error)
    _look(columns, expected, latest_ns, faults)
    raise faults.error()


def _made(columns: Mapping[str, NDArray[Any]], about: tuple[str, int | None]) -> Block:
    rest = dict(columns)
    places = {name: rest.pop(name) for name in ("event_id", "run", "lumisection", "region")}
    time_ns, cells, e_inc = rest.pop(TIME), rest.pop(CELLS), rest.pop("e_inc")
    seeds = rest.pop(SEED, None)
    showers = Showers(cells, e_inc, rest, None if seeds is None else seeds.astype(np.uint32))
    return Block(showers, time_ns=time_ns, producer=about[0], seq=about[1], **places)


def _agrees(block: Block, expected: Expected, latest_ns: int) -> bool:
    first, last = int(block.time_ns.min()), int(block.time_ns.max())
    known = expected.regions is None or expected.regions.issuperset(block.region.tolist())
    most = expected.most_rows
    return (
        known and expected.earliest_ns <= first and last <= latest_ns
        and (block.showers.n <= most or block.spread() <= most) and _in_place(block, expected)
    )  # fmt: skip


def _in_place(block: Block, expected: Expected) -> bool:
    """Return whether each shower is in the region that its seed is in."""
    seeds, region_of = block.showers.seeds, expected.region_of_seed
    if seeds is None or region_of is None:
        return True
    known = int(seeds.max()) < len(region_of)
    return known and bool((region_of[seeds] == block.region).all())


def _look(
    columns: Mapping[str, NDArray[Any]], expected: Expected, latest_ns: int, faults: Faults
) -> None:
    """Note every value that cannot be: the slow look at a record that is refused anyway."""
    for name, values in columns.items():
        if name == CELLS:
            _look_at_numbers(name, values, np.abs(values) <= E_MAX, _ENERGY, faults)
        elif name == "e_inc":
            good = np.isnan(values) | ((values > 0) & (values <= E_MAX))
            text = f"an energy in (0, {E_MAX:g}] MeV is wanted, or NaN for unknown"
            _look_at_numbers(name, values, good, text, faults)
        elif values.dtype == np.float32:
            good = np.isfinite(values)
            _look_at_numbers(name, values, good, "a finite value is wanted", faults)
    if TIME in columns and len(columns[TIME]):
        _look_at_times(columns[TIME], expected.earliest_ns, latest_ns, faults)
    if "region" in columns and expected.regions is not None:
        known = np.isin(columns["region"], list(expected.regions))
        text = "the detector has no such region"
        _look_at_numbers("region", columns["region"], known, text, faults, Rejection.REGION)
    if SEED in columns and expected.region_of_seed is not None:
        _look_at_seeds(columns, expected.region_of_seed, faults)
    _look_at_spread(columns, expected.most_rows, faults)


def _look_at_seeds(
    columns: Mapping[str, NDArray[Any]], region_of: NDArray[np.int64], faults: Faults
) -> None:
    seeds = columns[SEED]
    n = len(region_of)
    there = np.where(seeds < n, region_of[np.minimum(seeds, n - 1)], -1)
    text = f"the detector has channels 0 to {n - 1}, and not each may be a seed"
    _look_at_numbers(SEED, seeds, there >= 0, text, faults, Rejection.REGION)
    if "region" in columns and len(columns["region"]) == len(seeds):
        bad = np.flatnonzero((there >= 0) & (there != columns["region"]))
        if len(bad):
            row = int(bad[0])
            text = f"region is {columns['region'][row]} in row {row}, its seed {seeds[row]} lies in"
            faults.add(Rejection.REGION, f"{text} region {there[row]}")


_ENERGY = f"a finite energy within {E_MAX:g} MeV is wanted"


def _look_at_numbers(
    name: str,
    values: NDArray[Any],
    good: NDArray[np.bool_],
    wanted: str,
    faults: Faults,
    reason: Rejection = Rejection.VALUE,
) -> None:
    """Note the first value of a column that is not good, and how many there are."""
    bad = np.argwhere(~good)
    if len(bad):
        row, *cell = bad[0].tolist()
        where = f"row {row}" + (f", cell {cell[0]}" if cell else "")
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        faults.add(reason, f"{name} is {values[tuple(bad[0])]:g} in {where}{more}: {wanted}")


def _look_at_times(
    time_ns: NDArray[np.int64], earliest_ns: int, latest_ns: int, faults: Faults
) -> None:
    first, last = int(time_ns.min()), int(time_ns.max())
    early = np.flatnonzero(time_ns < earliest_ns)
    late = np.flatnonzero(time_ns > min(latest_ns, LATEST_NS))
    if len(early):
        row = int(early[0])
        text = f"time is {_moment(int(time_ns[row]))} in row {row}, before {_moment(earliest_ns)}"
        faults.add(Rejection.TIME, text + _guess(int(time_ns[row]), earliest_ns, latest_ns))
    if len(late):
        row = int(late[0])
        text = f"time is {_moment(int(time_ns[row]))} in row {row}: that is to come"
        faults.add(Rejection.TIME, text)
    if last - first > MAX_SPAN_NS:
        text = f"spans {(last - first) / 1e9:.0f} s of data time, at most {MAX_SPAN_NS // 10**9}"
        faults.add(Rejection.TIME, text)


def _guess(value: int, earliest_ns: int, latest_ns: int) -> str:
    """Return which clock a time before its time may be of; empty if of none."""
    for unit, factor in _CLOCKS.items():
        if earliest_ns <= value * factor <= latest_ns:
            return f": {value} looks like {unit} ({_moment(value * factor)}), ns are wanted"
    return ""


def _moment(ns: int) -> str:
    """Return a time to the microsecond; what no calendar has as its number."""
    try:
        moment = datetime.fromtimestamp(ns // 10**9, UTC).replace(microsecond=ns // 1000 % 10**6)
    except (ValueError, OverflowError, OSError):
        return f"{ns} ns"
    return moment.isoformat().replace("+00:00", "Z")


def _look_at_spread(columns: Mapping[str, NDArray[Any]], most: int, faults: Faults) -> None:
    names = (TIME, "run", "lumisection", "region")
    if not all(name in columns for name in names) or not len(columns[TIME]):
        return
    time_ns = columns[TIME]
    rows = np.stack([time_ns // 10**9, *(columns[name] for name in names[1:])], axis=1)
    spread = len(np.unique(rows, axis=0))
    if spread > most:
        text = f"scattered over seconds and regions: {spread} rows of windows, at most {most}"
        faults.add(Rejection.TIME, text)
