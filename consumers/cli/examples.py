"""Example records: a good one for a model, and one for each reason to refuse a record."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from consumers.wire import contract
from consumers.wire.arrow_form import encode
from consumers.wire.block import MAX_SHOWERS, Block
from consumers.wire.user_error import UserError
from models.showers.batch import Showers
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import NDArray

    from models.scoring.artefact import Artefact
    from monitor.detector.tree import Detector

SEED = 1


def good(artefact: Artefact, detector: Detector, now_ns: int, n: int) -> Block:
    """Return a block of showers that the model draws itself, in the regions of one sector.

    Raises
    ------
    UserError
        If the model needs conditions beside the energy: nobody knows which to draw.
    """
    from models.fitting.generation import generate  # noqa: PLC0415  torch takes seconds

    try:
        showers = generate(artefact, _typical(artefact), n, SEED)
    except ValueError as error:
        raise UserError(f"no example of this model: {error}") from None
    regions = np.array(next(iter(detector.innermost.values())), np.int64)
    region = regions[np.arange(n) % len(regions)]
    if detector.region_of_seed is not None:
        showers, region = _placed(showers, detector.region_of_seed, regions)
    return Block(
        showers=showers,
        event_id=np.arange(n, dtype=np.uint64),
        time_ns=now_ns + np.arange(n) * 1000,
        run=np.ones(n, np.int64),
        lumisection=np.ones(n, np.int64),
        region=region,
        producer="example",
        seq=0,
    )


def _placed(
    showers: Showers, region_of_seed: NDArray[np.int64], regions: NDArray[np.int64]
) -> tuple[Showers, NDArray[np.int64]]:
    """Return showers with seeds evenly over some regions, and the region of each."""
    possible = np.flatnonzero(np.isin(region_of_seed, regions))
    seeds = possible[np.linspace(0, len(possible) - 1, showers.n).astype(np.int64)]
    return replace(showers, seeds=seeds.astype(np.uint32)), region_of_seed[seeds]


def _typical(artefact: Artefact) -> Showers:
    """Return the mean shower of each condition cell of the reference, to take conditions from."""
    reference, geometry = artefact.reference, artefact.geometry
    cells = np.zeros((reference.n_cells, geometry.n_cells), np.float32)
    for layer, cut in enumerate(geometry.slices):
        lit = reference.lit_rate[:, cut] + 1e-6
        share = lit / lit.sum(axis=1, keepdims=True)
        cells[:, cut] = reference.layer_mean[:, [layer]] * share
    return Showers(cells, np.full(len(cells), np.nan, np.float32))


def spoilt(block: Block, artefact: Artefact, detector: Detector) -> dict[Rejection, bytes]:
    """Return a record for each reason for which one may be refused."""
    geometry = artefact.geometry
    value = encode(block, geometry, compression=None)
    strange = min(set(range(65_536)) - set(detector.by_id))
    return {
        Rejection.EMPTY: b"",
        Rejection.OVERSIZE: _changed(value, lambda t: pa.concat_tables([t] * _times(block))),
        Rejection.FORMAT: b"hello",
        Rejection.TRUNCATED: value[: len(value) // 2],
        Rejection.CORRUPT: value + b"more",
        Rejection.SCHEMA: _changed(value, lambda table: table.drop_columns(["run"])),
        Rejection.GEOMETRY: _changed(
            value,
            lambda table: table.replace_schema_metadata(
                {**table.schema.metadata, b"calodqm.geometry": b"another"}
            ),
        ),
        Rejection.VALUE: _with(value, "e_inc", np.zeros(block.showers.n)),
        Rejection.TIME: _with(value, contract.TIME, block.time_ns // 10**6),
        Rejection.REGION: _with(value, "region", np.full(block.showers.n, strange)),
    }


def _times(block: Block) -> int:
    return MAX_SHOWERS // block.showers.n + 1


def _with(value: bytes, name: str, numbers: Any) -> bytes:
    def change(table: Any) -> Any:
        at = table.schema.get_field_index(name)
        column = pa.array(numbers).cast(contract.COLUMNS[name].type)
        return table.set_column(at, name, column)

    return _changed(value, change)


def _changed(value: bytes, change: Callable[[Any], Any]) -> bytes:
    table = change(ipc.open_stream(value).read_all()).combine_chunks()
    sink = pa.BufferOutputStream()
    options = ipc.IpcWriteOptions(compression="lz4")
    with ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    changed: bytes = sink.getvalue().to_pybytes()
    return changed
