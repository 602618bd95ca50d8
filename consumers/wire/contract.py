"""Contract: the columns and metadata of a record, said once for the decoder, the tools, the guide."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from consumers.wire.block import MAX_CONDITIONS, MAX_NAME, SCHEMA
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.detector.geometry import Geometry

CELLS = "showers"
"""The column of the cells' energies."""

TIME = "time"
SEED = "seed"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a record."""

    type: Any
    """Its type in Arrow; of the cells, that of one cell."""

    meaning: str
    needed: bool = True
    """False if a record may be without it."""


COLUMNS: dict[str, Column] = {
    "event_id": Column(pa.uint64(), "number of the event"),
    TIME: Column(
        pa.timestamp("ns", "UTC"), "data time: it places the shower in its window; any zone will do"
    ),
    "run": Column(pa.uint32(), "run"),
    "lumisection": Column(pa.uint32(), "lumisection"),
    "region": Column(pa.uint16(), "id of the region, as the detector file has it"),
    SEED: Column(
        pa.uint32(),
        "id of the channel that the cells are centred on, as the detector file has it",
        needed=False,
    ),
    "e_inc": Column(pa.float32(), "incident or reference energy, MeV, > 0; NaN where unknown"),
    CELLS: Column(pa.float32(), "energy of each cell, MeV, in the order of the geometry file"),
}
"""What records have; further columns are further conditions, float32."""

METADATA = {
    "calodqm.schema": f"version of the record format: {SCHEMA}",
    "calodqm.geometry": "name of the geometry, as the geometry file has it",
    "calodqm.producer": f"who sends, at most {MAX_NAME} characters; wanted, not demanded",
    "calodqm.seq": "count of this producer's records of this key, from 0; wanted, not demanded",
}
"""Keys of the stream's schema metadata."""

NEEDED = {"calodqm.schema": Rejection.SCHEMA, "calodqm.geometry": Rejection.GEOMETRY}
"""Keys without which a record is refused, and why it then is."""


def schema(geometry: Geometry, conditions: Iterable[str] = (), *, seeds: bool = False) -> Any:
    """Return the Arrow schema of a record, with the metadata that do not change.

    Parameters
    ----------
    seeds
        Whether it says the channel that each shower is centred on.
    """
    types = {name: column.type for name, column in COLUMNS.items() if column.needed or seeds}
    types[CELLS] = pa.list_(pa.float32(), geometry.n_cells)
    types |= dict.fromkeys(conditions, pa.float32())
    metadata = {"calodqm.schema": str(SCHEMA), "calodqm.geometry": geometry.name}
    return pa.schema(list(types.items()), metadata=metadata)


def type_name(kind: Any) -> str:
    """Return the name of a type in the guide's words.

    Examples
    --------
    >>> type_name(pa.float32()), type_name(pa.list_(pa.field("item", pa.float64()), 504))
    ('float32', 'fixed_size_list<float64>[504]')
    """
    words = {"halffloat": "float16", "float": "float32", "double": "float64"}
    # The names of children are free, and so is whether they may be null.
    text = re.sub(r"<[^<>:]*: ", "<", str(kind)).replace(" not null", "").replace("tz=", "")
    return re.sub(r"\b(halffloat|float|double)\b", lambda found: words[found[0]], text)[:100]


def wrong_names(names: list[str]) -> list[str]:
    """Return what is wrong with the names of a record's columns."""
    further = [name for name in names if name not in COLUMNS]
    needed = [name for name, column in COLUMNS.items() if column.needed]
    found = [f"no column {name}" for name in needed if name not in names]
    twice = sorted({name for name in names if names.count(name) > 1}) if _repeats(names) else []
    found += [f"column {name[:MAX_NAME]} twice" for name in twice]
    if len(further) > MAX_CONDITIONS:
        found.append(f"{len(further)} further columns, at most {MAX_CONDITIONS}")
    bad = [name for name in further if not 0 < len(name) <= MAX_NAME]
    if bad:
        text = f"a further column is named {bad[0][:MAX_NAME]!r}: 1 to {MAX_NAME} characters"
        found.append(text)
    return found


def _repeats(names: list[str]) -> bool:
    return len(set(names)) != len(names)
