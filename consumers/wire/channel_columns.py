"""Channel columns: sums by channel in the windows of a range, where a window has some.

They stand as lists in the first row of each window, channels as steps from one to the next, all in
the smallest whole numbers that hold them. A range without any has no such columns, as before there
were channels.

Sums of layers' energies stand in a list of their own, for the cores alone: others have none. It is
left out where all of them are 0, as in ranges of before there were such sums.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from consumers.wire.block import DecodeError
from models.detector.channels import MAX_CHANNELS
from monitor.quality.rejection import Rejection
from monitor.windows.channel_sums import N_RINGS, NO_CHANNELS, ChannelSums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.windows.window import Window

OF_CORES = "channel_layer"
"""Column with an entry for each row of the others that is of a core."""

COLUMNS = {f"channel_{f.name}": f.name for f in fields(ChannelSums) if f.name != "layer"}
"""Columns, and which sums they hold, beside `OF_CORES`."""

LAST_KEY = MAX_CHANNELS * N_RINGS - 1
LARGEST = 2**48
"""Most that a sum of a window can be: thousands of them add up without overflow."""

LIMIT_BYTES = 16
"""Of a row of sums on the wire, at most about so many."""

_SIGNED = frozenset({"z", "energy", "layer"})


def check(schema: Any) -> frozenset[str]:
    """Return the columns that a schema of windows has beside those of every window.

    Raises
    ------
    DecodeError
        If one of them is of another type.
    """
    if COLUMNS.keys().isdisjoint(schema.names):
        return frozenset()
    here = {*COLUMNS, OF_CORES} & set(schema.names)
    for name in here:
        kind = schema.field(name).type
        if not (pa.types.is_list(kind) and pa.types.is_signed_integer(kind.value_type)):
            raise DecodeError(Rejection.SCHEMA, f"{name} is {kind}"[:200])
    return frozenset({*COLUMNS, *here})


def written(windows: Sequence[Window], rows: Sequence[int]) -> dict[str, Any]:
    """Return the sums of windows as columns, none where no window has any.

    Parameters
    ----------
    rows
        Rows of each window in the range.
    """
    if not any(window.channels.n for window in windows):
        return {}
    columns = {}
    for column, name in COLUMNS.items():
        parts = [getattr(window.channels, name) for window in windows]
        if name == "key":
            parts = [np.diff(keys, prepend=0) for keys in parts]
        columns[column] = _lists(parts, rows)
    layers = [window.channels.layer[window.channels.ring == 0] for window in windows]
    if any(sums.any() for sums in layers):
        columns[OF_CORES] = _lists(layers, rows)
    return columns


def _lists(parts: Sequence[NDArray[np.int64]], rows: Sequence[int]) -> Any:
    """Return a column with the values of each window in its first row."""
    lengths = np.zeros(sum(rows), np.int64)
    lengths[np.cumsum([0, *rows[:-1]])] = [len(part) for part in parts]
    starts = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    return pa.ListArray.from_arrays(starts, pa.array(_narrowest(np.concatenate(parts))))


def read(batch: Any, firsts: Sequence[int]) -> list[ChannelSums]:
    """Return the sums of each window, whose first rows are given.

    Raises
    ------
    DecodeError
        If they cannot be.
    """
    if "channel_key" not in batch.schema.names:
        return [NO_CHANNELS] * len(firsts)
    offsets = batch.column("channel_key").offsets.to_numpy()
    lists = {}
    for column, name in COLUMNS.items():
        if not np.array_equal(batch.column(column).offsets.to_numpy(), offsets):
            raise DecodeError(Rejection.VALUE, "sums by channel are not alike")
        lists[name] = _values(batch.column(column))
    lengths = np.diff(offsets)
    if lengths.sum() != lengths[firsts].sum():
        raise DecodeError(Rejection.VALUE, "sums by channel stand beside a window's first row")
    cores = [np.zeros(0, np.int64)] * len(firsts)
    if OF_CORES in batch.schema.names:
        column = batch.column(OF_CORES)
        at, values = column.offsets.to_numpy(), _values(column)
        cores = [values[at[i] : at[i + 1]] for i in firsts]
    return [
        _sums({k: v[offsets[i] : offsets[i + 1]] for k, v in lists.items()}, of_cores)
        for i, of_cores in zip(firsts, cores, strict=True)
    ]


def _values(column: Any) -> NDArray[np.int64]:
    values = column.values.to_numpy(zero_copy_only=True)
    return np.asarray(values).astype(np.int64)


def _sums(columns: dict[str, NDArray[np.int64]], of_cores: NDArray[np.int64]) -> ChannelSums:
    steps = columns["key"]
    if not len(steps):
        return NO_CHANNELS
    if steps[0] < 0 or (steps[1:] <= 0).any() or int(steps.max()) > LAST_KEY:
        raise DecodeError(Rejection.VALUE, "channels of a window do not rise")
    key = np.cumsum(steps)
    if key[-1] > LAST_KEY:
        raise DecodeError(Rejection.VALUE, f"there is no channel {key[-1] // N_RINGS}")
    core = key % N_RINGS == 0
    if len(of_cores) not in {0, int(core.sum())}:
        raise DecodeError(Rejection.VALUE, f"{OF_CORES} is not of the cores")
    layer = np.zeros(len(key), np.int64)
    layer[core] = of_cores if len(of_cores) else 0
    for name, values in (columns | {"layer": layer}).items():
        least = -LARGEST if name in _SIGNED else 0
        if not (least <= int(values.min()) <= int(values.max()) <= LARGEST):
            raise DecodeError(Rejection.VALUE, f"channel_{name} holds what no sum can be")
    return ChannelSums(**(columns | {"key": key, "layer": layer}))


def _narrowest(values: NDArray[np.int64]) -> NDArray[Any]:
    """Return whole numbers in the smallest type that holds them."""
    least, most = (int(values.min()), int(values.max())) if values.size else (0, 0)
    for kind in (np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max:
            return values.astype(kind)
    return values
