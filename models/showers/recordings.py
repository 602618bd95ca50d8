"""Recordings: pieces of a file's columns into showers; rows that hold none are named."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from models.showers.batch import E_MAX, Showers
from models.showers.layouts import SEED, STREAM, ColumnPath, Layout
from models.showers.tables import NULL, TableError, Values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

KINDS: dict[str, type[np.integer[Any]]] = {
    "region": np.uint16,
    "run": np.uint32,
    "lumisection": np.uint32,
    "time": np.int64,
    SEED: np.uint32,
}

LOOK_LIKE = {"seconds": 1e9, "milliseconds": 1e12, "microseconds": 1e15}
"""What whole numbers of about this size are as times, from 1980 to 2100: 1e18 are nanoseconds."""

SINCE_1980, UNTIL_2100 = 0.3, 4.2


class Bad(NamedTuple):
    """A row that holds no shower."""

    row: int
    """From 0."""

    column: str
    what: str
    """Why it is none; the same words for the same reason."""

    where: str = ""
    """More about this row."""

    def __str__(self) -> str:
        """Return one line without the file."""
        return f"`{self.column}` {self.what} in row {self.row}{self.where}"


def left_out(bad: Sequence[Bad], n: int) -> str:
    """Return what is to be said of rows of a file that were left out, of n."""
    reasons = Counter(f"`{one.column}` {one.what}" for one in bad)
    told = ", ".join(f"{count}: {reason}" for reason, count in reasons.most_common())
    return f"{len(bad)} of {n} rows left out ({told}); the first: {bad[0]}"


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Showers of a file, in its order, and what else it says of them."""

    showers: Showers

    row: NDArray[np.int64]
    """Row of each shower in the file, shape (N,)."""

    stream: Mapping[str, NDArray[Any]]
    """`STREAM` columns that the file has and somebody wants: ids, and data time in ns since 1970
    UTC; each of shape (N,)."""

    bad: tuple[Bad, ...] = ()
    """Rows between them that were left out."""


class Piece:
    """Some rows of all columns of a layout, and what is wrong with them."""

    def __init__(self, form: Layout, columns: Mapping[ColumnPath, Values], at: int) -> None:
        self._form, self._columns, self._at = form, columns, at
        self.n = len(next(iter(columns.values())).values)
        self._bad: dict[int, Bad] = {}

    def recording(self, conditions: tuple[str, ...], *, skip_bad: bool) -> Recording:
        """Return the showers of these rows.

        Raises
        ------
        TableError
            If a row holds none, unless such rows are to be left out.
        """
        others = self._form.others
        cells, e_inc = self._cells(), self._e_inc()
        extra = {name: self._condition(name, others[name]) for name in conditions}
        stream = {n: self._stream(n, others[n]) for n in STREAM if n in others}
        seeds = self._stream(SEED, others[SEED]) if SEED in others else None
        bad = tuple(self._bad[row] for row in sorted(self._bad))
        if bad and not skip_bad:
            raise TableError(f"{bad[0]}; --skip-bad leaves out what is no shower")
        kept = np.setdiff1d(np.arange(self.n), [one.row - self._at for one in bad])
        if bad:
            cells, e_inc = cells[kept], e_inc[kept]
            extra = {name: values[kept] for name, values in extra.items()}
            stream = {name: values[kept] for name, values in stream.items()}
            seeds = None if seeds is None else seeds[kept]
        return Recording(Showers(cells, e_inc, extra, seeds), kept + self._at, stream, bad)

    def _note(self, row: int, column: str, fault: str | None, what: str, where: str) -> None:
        """Note the first thing that is wrong with a row: what the table says, or what we see."""
        row += self._at
        self._bad.setdefault(row, Bad(row, column, fault or what, "" if fault else where))

    def _cells(self) -> NDArray[np.float32]:
        cells = np.empty((self.n, sum(self._form.cells.values())), np.float32)
        start = 0
        for place, width in self._form.cells.items():
            part, values = cells[:, start : start + width], self._columns[place]
            with np.errstate(over="ignore", invalid="ignore"):  # it becomes infinite: found below
                part[:] = values.values
                if self._form.cells_unit != 1:  # one rounding, as of a file in MeV
                    part[:] = values.values.astype(np.float64) * self._form.cells_unit
            # The bounds are written as what is allowed: NaN fails them too.
            fits = (part.min(axis=1) >= -E_MAX) & (part.max(axis=1) <= E_MAX)
            for row in sorted({*np.flatnonzero(~fits).tolist(), *values.faults}):
                cell = int(np.argmin(np.abs(part[row]) <= E_MAX))
                where = f": cell {start + cell} is {part[row, cell]:g}"
                what = f"is not finite and within {E_MAX:g} MeV"
                self._note(row, place.column, values.faults.get(row), what, where)
            start += width
        return cells

    def _e_inc(self) -> NDArray[np.float32]:
        """Return the incident energies, NaN where they are null or NaN: unknown."""
        place = self._form.energy
        if place is None:
            return np.full(self.n, np.nan, np.float32)
        numbers, faults = self._columns[place]
        with np.errstate(over="ignore"):
            energy = numbers[:, 0].astype(np.float64) * self._form.energy_unit
            energy[[row for row, why in faults.items() if why == NULL]] = np.nan
            e_inc = energy.astype(np.float32)
        wrong = ~(np.isnan(energy) | (e_inc > 0) & (e_inc <= E_MAX))
        faults = {row: why for row, why in faults.items() if why != NULL}
        self._check(place.column, energy, wrong, faults, f"is not in (0, {E_MAX:g}] MeV")
        return e_inc

    def _condition(self, name: str, place: ColumnPath) -> NDArray[np.float32]:
        numbers, faults = self._columns[place]
        with np.errstate(over="ignore"):
            values: NDArray[np.float32] = numbers[:, 0].astype(np.float32)
        self._check(name, values, ~np.isfinite(values), faults, "is not finite")
        return values

    def _stream(self, name: str, place: ColumnPath) -> NDArray[Any]:
        numbers, faults = self._columns[place]
        values, kind = numbers[:, 0], np.dtype(KINDS[name])
        if name == "time":
            values = _nanoseconds(values)
        elif values.dtype.kind == "f" and np.any(values != np.rint(values)):
            raise TableError(f"`{name}` must be whole numbers, not {values.dtype}")
        fits = (values >= 0) & (values <= np.iinfo(kind).max)
        self._check(name, values, ~fits, faults, f"does not fit {kind}")
        out: NDArray[Any] = np.where(fits, values, 0).astype(kind)
        return out

    def _check(
        self,
        column: str,
        numbers: NDArray[Any],
        wrong: NDArray[np.bool_],
        faults: Mapping[int, str],
        what: str,
    ) -> None:
        for row in sorted({*np.flatnonzero(wrong).tolist(), *faults}):
            self._note(row, column, faults.get(row), what, f": {numbers[row]:g}")


def _nanoseconds(values: NDArray[Any]) -> NDArray[Any]:
    """Return ns since 1970 of seconds as floating-point numbers, or of whole ns.

    Raises
    ------
    TableError
        If whole numbers are those of a coarser unit in our age.
    """
    if values.dtype.kind == "f":
        return np.rint(values.astype(np.float64) * 1e9)
    typical = float(np.median(values)) if len(values) else 0.0
    for unit, size in LOOK_LIKE.items():
        if SINCE_1980 * size <= typical <= UNTIL_2100 * size:
            raise TableError(
                f"`time` holds whole numbers such as {typical:.0f}, which look like {unit}: write "
                "whole nanoseconds, or seconds as floating-point numbers"
            )
    return values
