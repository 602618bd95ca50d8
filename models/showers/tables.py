"""Tables: named columns of a file, HDF5, Parquet or ROOT, read a range of rows at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

MAX_PIECE = 1 << 30
"""No single compressed piece of a file may unpack to more bytes than this."""

NULL = "is null"
"""What is said of a row that holds nothing."""


class TableError(ValueError):
    """A file that is no table that we read; the message says why, in one line."""


class Column(NamedTuple):
    """A column, as the head of the file tells of it."""

    rows: int
    other: str = ""
    """What it holds instead of numbers; empty if it holds numbers."""


class Values(NamedTuple):
    """Some rows of a column, each of them flat."""

    values: NDArray[Any]
    """Shape (n, width); in rows that are at fault, anything."""

    faults: Mapping[int, str]
    """What is wrong with a row, by its place in `values`: null, or of another width."""


class Table(Protocol):
    """Columns in a file that stays open. Nothing is read of a column that nobody asks for."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """Return every column by its name, whatever it holds."""
        ...

    def inner(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of one row of a column of numbers; None if there is none to tell it.

        In lists it is that of the first row, and others may differ.
        """
        ...

    def pieces(
        self, widths: Mapping[str, int], start: int, stop: int, size: int
    ) -> Iterator[dict[str, Values]]:
        """Yield the rows [start, stop) of some columns, at most `size` at a time, in order.

        Parameters
        ----------
        widths
            How many numbers a row of each column should have.
        """
        ...


class Contents(NamedTuple):
    """What a file holds."""

    tables: Mapping[str, Table]
    """By where they are in the file: a group, a tree; "" at the top."""

    noise_mev: float | None = None
    """Noise of the cells, as far as the file states it."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A table in memory."""

    arrays: dict[str, NDArray[Any]]
    columns: dict[str, Column] = field(init=False)

    def __post_init__(self) -> None:
        columns = {name: Column(len(values)) for name, values in self.arrays.items()}
        object.__setattr__(self, "columns", columns)

    def inner(self, name: str) -> tuple[int, ...]:
        """Return the shape of one row."""
        return self.arrays[name].shape[1:]

    def pieces(
        self, widths: Mapping[str, int], start: int, stop: int, size: int
    ) -> Iterator[dict[str, Values]]:
        """Yield the rows [start, stop), at most `size` at a time."""
        for low, high in ranges(start, stop, size):
            yield {
                name: Values(self.arrays[name][low:high].reshape(high - low, width), {})
                for name, width in widths.items()
            }


def ranges(start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges that [start, stop) falls into."""
    for low in range(start, stop, size):
        yield low, min(low + size, stop)


def ragged(flat: NDArray[Any], lengths: NDArray[np.int64], null: Any, width: int) -> Values:
    """Return rows of lists; those of another length than `width`, or null, are at fault.

    Parameters
    ----------
    flat
        The numbers of all lists, one after the other.
    lengths
        Of each row's list.
    null
        True for rows that are null, shape (n,).
    """
    good = (lengths == width) & ~null
    if good.all():
        return Values(flat.reshape(len(lengths), width), {})
    # Whole numbers stay whole: as floats, times would lose their last digits.
    values = np.zeros((len(lengths), width), flat.dtype)
    values[good] = flat[np.repeat(good, lengths)].reshape(-1, width)
    faults = {
        int(row): NULL if null[row] else f"has {lengths[row]} values, not {width}"
        for row in np.flatnonzero(~good)
    }
    return Values(values, faults)


def one_line(error: Exception) -> str:
    """Return the first line of what an exception says."""
    text = str(error).strip().splitlines()
    return text[0][:160] if text else type(error).__name__
