"""The contract of records for a machine: what `consumers.wire` takes, as JSON and as Arrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from consumers.wire import block, codec, contract, json_form
from consumers.wire.arrow_stream import MAX_BATCHES, MAX_EXPANDED_BYTES
from models.showers.batch import E_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.detector.channels import Channels
    from models.detector.geometry import Geometry
    from monitor.detector.tree import Detector

FORMAT = "calodqm.contract/2"

LIMITS = {
    "bytes": codec.MAX_BYTES,
    "json_bytes": json_form.MAX_JSON_BYTES,
    "expanded_bytes": MAX_EXPANDED_BYTES,
    "showers": block.MAX_SHOWERS,
    "batches": MAX_BATCHES,
    "further_columns": block.MAX_CONDITIONS,
    "name_characters": block.MAX_NAME,
    "span_ns": block.MAX_SPAN_NS,
    "window_rows": block.MAX_SPREAD,
}
"""What a record may hold at most."""


def told(
    geometry: Geometry, detector: Detector, conditions: Sequence[str], earliest_ns: int
) -> dict[str, Any]:
    """Return the contract as plain values.

    Parameters
    ----------
    conditions
        Names of the further conditions that the model needs.
    earliest_ns
        Earliest data time that is taken, ns since 1970 UTC.
    """
    return {
        "format": FORMAT,
        "schema": block.SCHEMA,
        "columns": _columns(contract.schema(geometry, conditions, seeds=True)),
        "metadata": [
            {"key": key, "meaning": text, "needed": key in contract.NEEDED}
            for key, text in contract.METADATA.items()
        ],
        "limits": LIMITS | {"earliest_ns": earliest_ns, "energy_mev": E_MAX},
        "geometry": _geometry(geometry),
        "detector": {
            "name": detector.name,
            "regions": [
                {"id": region.id, "name": region.name, "sector": region.sector}
                for region in detector.regions
            ],
            "sectors": {out: list(names) for out, names in detector.outer.items()},
            "channels": None if detector.channels is None else _channels(detector.channels),
        },
    }


def _columns(schema: pa.Schema) -> list[dict[str, Any]]:
    further = contract.Column(pa.float32(), "a further condition of the model, finite")
    columns = [(field, contract.COLUMNS.get(field.name, further)) for field in schema]
    return [
        {
            "name": field.name,
            "type": contract.type_name(field.type),
            "meaning": column.meaning,
            "needed": column.needed,
        }
        for field, column in columns
    ]


def _geometry(geometry: Geometry) -> dict[str, Any]:
    return {
        "name": geometry.name,
        "cells": geometry.n_cells,
        "order": "layer after layer, each row after row",
        "layers": [
            {"name": layer.name, "first_cell": cut.start, "shape": list(layer.shape)}
            for layer, cut in zip(geometry.layers, geometry.slices, strict=True)
        ],
    }


def _channels(channels: Channels) -> dict[str, Any]:
    """Return what a producer must know of seeds; the detector file says the rest."""
    seeds = np.flatnonzero(channels.may_seed)
    first, last = int(seeds[0]), int(seeds[-1])
    return {
        "n": len(channels),
        "seeds": len(seeds),
        "first_seed": {"id": first, "name": channels.name(first)},
        "last_seed": {"id": last, "name": channels.name(last)},
        "outside": "cells of a patch that lie outside of the detector may hold anything finite",
    }


def empty_stream(geometry: Geometry, conditions: Sequence[str]) -> bytes:
    """Return an Arrow stream of the contract's schema without a batch."""
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, contract.schema(geometry, conditions)):
        pass
    value: bytes = sink.getvalue().to_pybytes()
    return value
