"""Known bad: channels that are known to be bad, from when until when, as a conditions table says."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from models.detector.channels import ChannelsError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from models.detector.channels import Channels

COLUMNS = ("channel", "from", "until", "cause")
NEVER_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Entry:
    """Some channels, and when they are bad."""

    name: str
    """Of a channel or a group."""

    begin_ns: int
    """Since when, data time in ns since 1970 UTC; 0 for always."""

    end_ns: int
    """Until when, not included; `NEVER_NS` for until further notice."""

    cause: str


class KnownBad:
    """What is known to be bad among the channels of a detector; it may be said anew at any time.

    Parameters
    ----------
    channels, entries
        Of the detector; what is bad, and when.
    """

    def __init__(self, channels: Channels, entries: tuple[Entry, ...]) -> None:
        self._channels = channels
        self._said = _Said(channels, entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return what is said now."""
        return self._said.entries

    def renew(self, entries: tuple[Entry, ...]) -> None:
        """Say anew what is bad, and when; who looks from now on sees all of it."""
        self._said = _Said(self._channels, entries)

    def at(self, time_ns: int) -> NDArray[np.bool_]:
        """Return which channels are bad at a data time, shape (C,)."""
        return self._said.at(time_ns)

    def ever(self) -> NDArray[np.bool_]:
        """Return which channels are bad at any time, shape (C,)."""
        return self._said.of(self.entries)

    def cells(self, channels: NDArray[np.int32], time_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which cells of N showers are bad, shape (N, V).

        Parameters
        ----------
        channels
            Of each cell, -1 for none, shape (N, V).
        time_ns
            Data time of each shower, shape (N,).
        """
        return self._said.cells(channels, time_ns)


@dataclass(frozen=True)
class _Said:
    """What was said at one time; it never changes, so that it can be looked at from any thread."""

    channels: Channels
    entries: tuple[Entry, ...]

    @cached_property
    def _edges(self) -> NDArray[np.int64]:
        return np.unique([ns for entry in self.entries for ns in (entry.begin_ns, entry.end_ns)])

    def of(self, entries: Iterable[Entry]) -> NDArray[np.bool_]:
        bad = np.zeros(len(self.channels), np.bool_)
        for entry in entries:
            bad[self.channels.members(entry.name)] = True
        return bad

    def at(self, time_ns: int) -> NDArray[np.bool_]:
        return self.of(e for e in self.entries if e.begin_ns <= time_ns < e.end_ns)

    @cached_property
    def _between(self) -> dict[int, NDArray[np.bool_]]:
        return {}

    def cells(self, channels: NDArray[np.int32], time_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        out = np.zeros(channels.shape, np.bool_)
        stretch = np.searchsorted(self._edges, time_ns, side="right")
        for one in np.unique(stretch).tolist():
            rows = np.flatnonzero(stretch == one)
            if one not in self._between:  # nothing changes between two edges
                here = self.at(int(time_ns[rows[0]]))
                self._between[one] = np.append(here, False)  # the last stands for no channel
            out[rows] = self._between[one][channels[rows]]
        return out


def load(path: Path, channels: Channels) -> KnownBad:
    """Return what a CSV file says is bad: `channel,from,until,cause`.

    `channel` is the name of a channel or a group; times are ISO 8601 with an offset; an empty
    `from` says always, an empty `until` until further notice; a channel may stand in many rows.

    Raises
    ------
    ChannelsError
        If the file cannot be read or a row is wrong: one line that names file and row.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ChannelsError(f"{path}: {error}") from None
    if not rows or tuple(rows[0]) != COLUMNS:
        raise ChannelsError(f"{path}: the first line must be {','.join(COLUMNS)}")
    entries = []
    for n, row in enumerate(rows[1:], start=1):
        try:
            if row:
                entries.append(_entry(row, channels))
        except ValueError as error:
            raise ChannelsError(f"{path}: row {n}: {error}") from None
    return KnownBad(channels, tuple(entries))


def _entry(row: list[str], channels: Channels) -> Entry:
    if len(row) != len(COLUMNS):
        raise ChannelsError(f"{len(row)} columns, {len(COLUMNS)} are wanted")
    name, begin, end, cause = (text.strip() for text in row)
    channels.members(name)
    begin_ns = _ns(begin, "from") if begin else 0
    end_ns = _ns(end, "until") if end else NEVER_NS
    if begin_ns >= end_ns:
        raise ChannelsError(f"{name} is bad from {begin} until {end}: that is never")
    return Entry(name, begin_ns, end_ns, cause)


def _ns(text: str, column: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ChannelsError(f"{column} is {text!r}, not ISO 8601") from None
    if moment.tzinfo is None:
        raise ChannelsError(f"{column} is {text!r}: it has no offset from UTC, such as Z")
    return round(moment.timestamp() * 1e6) * 1000
