"""The Arrow form of a record: one IPC stream, its columns of the contract's types or cast to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import ipc

from consumers.wire import contract
from consumers.wire.arrow_stream import MAX_EXPANDED_BYTES, read_batches, text_metadata
from consumers.wire.block import MAX_NAME, MAX_SHOWERS, Block, DecodeError, Expected
from consumers.wire.contract import CELLS, COLUMNS, NEEDED, TIME, type_name
from consumers.wire.faults import Faults, check_geometry, check_schema, checked
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry

_PLAIN = {"run": np.int64, "lumisection": np.int64, "region": np.int64}
"""What the narrow counts are widened to, so that nothing overflows later."""


def encode(block: Block, geometry: Geometry, *, compression: str | None = "lz4") -> bytes:
    """Return the Arrow form of a block; `read` is its inverse.

    Parameters
    ----------
    compression
        Of the buffers inside: lz4 (best where the network or the broker is the limit), zstd or
        None (best where the CPU is).
    """
    showers = block.showers
    seeds = [] if showers.seeds is None else [pa.array(showers.seeds)]
    schema = contract.schema(geometry, showers.conditions, seeds=bool(seeds))
    about = {"calodqm.producer": block.producer}
    if block.seq is not None:
        about["calodqm.seq"] = str(block.seq)
    schema = schema.with_metadata({**schema.metadata, **about})
    flat = pa.array(np.ascontiguousarray(showers.cells).reshape(showers.n * geometry.n_cells))
    columns = [
        pa.array(block.event_id, pa.uint64()),
        pa.array(block.time_ns, pa.int64()).cast(COLUMNS[TIME].type),
        pa.array(block.run.astype(np.uint32)),
        pa.array(block.lumisection.astype(np.uint32)),
        pa.array(block.region.astype(np.uint16)),
        *seeds,
        pa.array(showers.e_inc),
        pa.FixedSizeListArray.from_arrays(flat, geometry.n_cells),
        *(pa.array(values) for values in showers.conditions.values()),
    ]
    sink = pa.BufferOutputStream()
    options = ipc.IpcWriteOptions(compression=compression)
    with ipc.new_stream(sink, schema, options=options) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    value: bytes = sink.getvalue().to_pybytes()
    return value


def read(value: bytes, geometry: Geometry, expected: Expected, latest_ns: int) -> Block:
    """Return the block of an Arrow stream, or raise `DecodeError`; see `codec.decode`."""
    faults = Faults()
    metadata: dict[str, str] = {}

    def row_bytes(schema: Any) -> int:
        metadata.update(text_metadata(schema))
        check_schema(metadata.get("calodqm.schema"))
        _look_at_schema(schema, metadata, geometry, faults)
        if faults and not all(_is_plain(field.type) for field in schema):
            raise faults.error()
        return 4 * (geometry.n_cells + len(schema.names)) + 32

    try:
        schema, batches = read_batches(value, row_bytes, MAX_SHOWERS, MAX_EXPANDED_BYTES)
    except DecodeError:
        if faults:  # enough to mend, and what follows from it need not be named
            raise faults.error() from None
        raise
    batch = batches[0] if len(batches) == 1 else pa.concat_batches(batches)
    columns = {}
    for name, array in zip(schema.names, batch.columns, strict=True):
        column = None
        # What is wrong with its type is noted already.
        if not faults or _type_fault(name, array.type, geometry) is None:
            column = _column(name, array, geometry, faults)
        if column is not None:
            columns[name] = column
    return checked(columns, _about(metadata, faults), expected, latest_ns, faults)


def _look_at_schema(
    schema: Any, metadata: Mapping[str, str], geometry: Geometry, faults: Faults
) -> None:
    for key, reason in NEEDED.items():
        if key not in metadata:
            faults.add(reason, f"no {key} in the stream's schema metadata")
    if "calodqm.geometry" in metadata:
        check_geometry(metadata["calodqm.geometry"], geometry, faults)
    for text in contract.wrong_names(schema.names):
        faults.add(Rejection.SCHEMA, text)
    for field in schema:
        fault = _type_fault(field.name, field.type, geometry)
        if fault is not None:
            faults.add(*fault)


def _type_fault(name: str, kind: Any, geometry: Geometry) -> tuple[Rejection, str] | None:
    """Return what is wrong with a column's type, None if it may hold what is wanted."""
    if name == CELLS:
        return _cells_fault(kind, geometry)
    if kind == _wanted(name):
        return None
    text = f"{name[:MAX_NAME]} is {type_name(kind)}"
    if name == TIME:
        if not pa.types.is_timestamp(kind):
            return Rejection.SCHEMA, f"{text}, timestamp[ns, UTC] is wanted"
        if not kind.tz:
            return Rejection.SCHEMA, f"{text}, without a zone: timestamp[ns, UTC] is wanted"
    elif not _is_number(kind):
        return Rejection.SCHEMA, f"{text}, {type_name(_wanted(name))} is wanted"
    return None


def _cells_fault(kind: Any, geometry: Geometry) -> tuple[Rejection, str] | None:
    n_cells = geometry.n_cells
    if not _is_list(kind) or not _is_number(kind.value_type):
        wanted = f"fixed_size_list<float32>[{n_cells}] is wanted"
        return Rejection.SCHEMA, f"{CELLS} is {type_name(kind)}, {wanted}"
    size = getattr(kind, "list_size", n_cells)
    if size != n_cells:
        return Rejection.GEOMETRY, f"{CELLS} is of {size} cells, {geometry.name} has {n_cells}"
    return None


def _column(name: str, array: Any, geometry: Geometry, faults: Faults) -> NDArray[Any] | None:
    """Return a column as an aligned array, None if it cannot be; why is noted."""
    if name == CELLS:
        return _cells(array, geometry, faults)
    if array.null_count:
        row = pc.index(array.is_null(), value=True).as_py()
        unknown = ": NaN says unknown" if name == "e_inc" else ": nulls are refused"
        faults.add(Rejection.VALUE, f"{name} is null in row {row}{unknown}")
        return None
    values = _cast(name, array, faults)
    if values is None:
        return None
    if name == TIME:
        values = values.view(pa.int64())
    return _aligned(values, _PLAIN.get(name))


def _cells(column: Any, geometry: Geometry, faults: Faults) -> NDArray[Any] | None:
    n, v = len(column), geometry.n_cells
    if column.null_count:
        row = pc.index(column.is_null(), value=True).as_py()
        faults.add(Rejection.VALUE, f"{CELLS} is null in row {row}: nulls are refused")
        return None
    flat = column.values
    if not pa.types.is_fixed_size_list(column.type):
        lengths = column.value_lengths().to_numpy()
        wrong = np.flatnonzero(lengths != v)
        if len(wrong):
            text = f"{CELLS} has {lengths[wrong[0]]} cells in row {wrong[0]}"
            faults.add(Rejection.GEOMETRY, f"{text}, {geometry.name} has {v}")
            return None
        flat = column.flatten()
    if len(flat) != n * v:
        raise DecodeError(Rejection.CORRUPT, f"{len(flat)} cells for {n} showers")
    if flat.null_count:
        at = pc.index(flat.is_null(), value=True).as_py()
        text = f"{CELLS} is null in row {at // v}, cell {at % v}: each cell needs an energy"
        faults.add(Rejection.VALUE, f"{text}, NaN says unknown in e_inc alone")
        return None
    values = _cast(CELLS, flat, faults)
    return None if values is None else _aligned(values).reshape(n, v)


def _cast(name: str, array: Any, faults: Faults) -> Any | None:
    """Return values in the contract's type by Arrow's safe cast, None if it would lose something."""
    kind = _wanted(name)
    # A stamp with a zone is an instant: the zone's name does not change the number.
    if array.type == kind or (name == TIME and array.type.unit == "ns"):
        return array
    try:
        return array.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        row = _first_lost(array, kind)
        # In int64 first: what no calendar has cannot be shown as a time.
        shown = array[row].cast(pa.int64()) if name == TIME else array[row]
        reason = Rejection.TIME if name == TIME else Rejection.VALUE
        text = f"{name} is {shown.as_py()} ({type_name(array.type)}) in row {row}"
        faults.add(reason, f"{text}: {type_name(kind)} is wanted")
        return None


def _first_lost(array: Any, kind: Any) -> int:
    """Return the first row that a safe cast cannot take, by halving."""
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            array[low:middle].cast(kind)
            low = middle
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            high = middle
    return low


def _wanted(name: str) -> Any:
    return COLUMNS[name].type if name in COLUMNS else pa.float32()


def _is_number(kind: Any) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _is_list(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_fixed_size_list(kind) or types.is_list(kind) or types.is_large_list(kind))


def _is_plain(kind: Any) -> bool:
    """Return whether a column is worth a look though something else is wrong with the schema."""
    types = pa.types
    return not (types.is_nested(kind) or types.is_dictionary(kind) or types.is_null(kind)) or (
        _is_list(kind) and _is_number(kind.value_type)
    )


def _aligned(column: Any, dtype: type[np.generic] | None = None) -> NDArray[Any]:
    """Return a column as an aligned array: in a Kafka record it lies wherever it lies."""
    values = column.to_numpy(zero_copy_only=True)
    return np.require(values if dtype is None else values.astype(dtype), None, "A")


def _about(metadata: Mapping[str, str], faults: Faults) -> tuple[str, int | None]:
    producer, seq = metadata.get("calodqm.producer", ""), metadata.get("calodqm.seq")
    if len(producer) > MAX_NAME:
        faults.add(Rejection.SCHEMA, f"producer is of {len(producer)} letters, at most {MAX_NAME}")
    if seq is None:
        return producer, None
    if not (seq.isascii() and seq.isdigit() and len(seq) < 20 and int(seq) < 2**63):
        faults.add(Rejection.SCHEMA, f"seq is {seq[:MAX_NAME]!r}, a whole number is wanted")
        return producer, None
    return producer, int(seq)
