"""Layouts: which columns of a file hold cells, incident energies, conditions, run and time."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from models.showers.tables import TableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from models.detector.geometry import Geometry
    from models.showers.tables import Contents, Table

UNITS = {"keV": 1e-3, "MeV": 1.0, "GeV": 1e3, "TeV": 1e6}

ENERGIES = {"incident_energies": "MeV", "e_inc": "MeV"}
"""Columns of incident energies, and their unit unless another is told."""

CALOGAN_ENERGY = ("energy", "GeV")
"""The same in files of the CaloGAN form alone."""

STREAM = ("region", "run", "lumisection", "time")

SEED = "seed"
"""Column of the channels that showers are centred on."""

LIKE_ENERGIES = (
    "incident_energy", "incident_energies", "energies", "energy", "einc", "true_energy",
    "truth_energy", "gen_energy", "beam_energy", "initial_energy", "kinetic_energy",
    "particle_energy", "gen_info",
)  # fmt: skip
"""Names that a column of incident energies may have with others."""

NONE = "none"
"""What is said for a column that is not there, and is known not to be."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What somebody says of shower files that they do not say themselves."""

    table: str = ""
    """The group or tree that holds the showers, if several do."""

    energy: str = ""
    """Column of the incident energies, with its group or tree if it is of another; `NONE` if the
    file has none, whatever its columns are called. Empty: one of `ENERGIES`."""

    cells_unit: str = ""
    """Unit of the cells, of `UNITS`; empty: MeV, and what speaks against it is an error."""

    energies_unit: str = ""
    """Unit of the incident energies; empty: that of the column, and the same."""

    conditions: tuple[str, ...] = ()
    """Columns that a model needs."""

    stream: bool = False
    """Read `STREAM` too, where there."""

    seeds: bool = False
    """Read `SEED` too, where there."""

    skip_bad: bool = False
    """Leave showers out that cannot be, and count them; else the first is an error."""

    def __post_init__(self) -> None:
        for unit in (self.cells_unit, self.energies_unit):
            if unit and unit not in UNITS:
                raise TableError(f"unit {unit!r}: one of {', '.join(UNITS)}")


class ColumnPath(NamedTuple):
    """Where a column is."""

    table: str
    column: str

    def __str__(self) -> str:
        """Return the path that people write."""
        return f"{self.table}/{self.column}" if self.table else self.column


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns hold what, and how many numbers of each make a shower."""

    n: int
    """Showers."""

    cells: Mapping[ColumnPath, int]
    """In the order of the layers, with the cells of each."""

    cells_unit: float
    """MeV."""

    energy: ColumnPath | None
    energy_unit: float
    """MeV."""

    others: Mapping[str, ColumnPath] = field(default_factory=dict)
    """Conditions, `STREAM` and `SEED`."""


def layout(contents: Contents, geometry: Geometry, said: Reading) -> Layout:
    """Return which columns hold what.

    Two forms are known, and told apart by their names. CaloChallenge: `showers` (N, V) and
    `incident_energies` (N, 1), MeV. CaloGAN: `layer_0`, `layer_1`, ... (N, rows, columns) in MeV
    and `energy` (N, 1) in GeV; its `overflow`, what left the cells, is not read.

    Raises
    ------
    TableError
        If there are no showers of the geometry, or it takes somebody's word to read them.
    """
    at, names = _cells(contents, said)
    table = contents.tables[at]
    n = table.columns[names[0]].rows
    widths = _widths(table, names, geometry, n)
    energy, unit = _energy(contents, at, said, calogan=names[0] != "showers")
    _check_energy(contents, energy, n)
    also = (*(STREAM if said.stream else ()), *((SEED,) if said.seeds else ()))
    wanted = [*said.conditions, *(name for name in also if name in table.columns)]
    for name in wanted:
        _check_numbers(table, name, n)
    return Layout(
        n=n,
        cells={ColumnPath(at, name): width for name, width in zip(names, widths, strict=True)},
        cells_unit=UNITS[said.cells_unit or "MeV"],
        energy=energy,
        energy_unit=UNITS[said.energies_unit or unit],
        others={name: ColumnPath(at, name) for name in wanted},
    )


def _cells(contents: Contents, said: Reading) -> tuple[str, list[str]]:
    """Return the table with the showers, and its columns of cells."""
    named = {at: _named(table) for at, table in contents.tables.items()}
    found = {at: names for at, names in named.items() if names}
    if said.table:
        if said.table not in found:
            held = ", ".join(at or "the top" for at in found) or "nothing"
            raise TableError(f"no showers in {said.table!r}, but in {held}")
        return said.table, found[said.table]
    if len(found) > 1:
        places = " and ".join(f"`{at or '/'}`" for at in found)
        raise TableError(f"showers in {places}: say which by --table")
    if not found:
        numbers = [str(ColumnPath(at, name)) for at, name in _numbers(contents)]
        others = ", ".join(sorted(numbers)[:8]) or "no numeric columns"
        raise TableError(f"has neither `showers` nor `layer_0`, but {others}")
    return next(iter(found.items()))


def _named(table: Table) -> list[str]:
    if "showers" in table.columns:
        return ["showers"]
    found = [name for name in table.columns if re.fullmatch(r"layer_\d+", name)]
    return sorted(found, key=lambda name: int(name[6:])) if "layer_0" in found else []


def _numbers(contents: Contents) -> Iterator[ColumnPath]:
    for at, table in contents.tables.items():
        for name, column in table.columns.items():
            if not column.other:
                yield ColumnPath(at, name)


def _check_numbers(table: Table, name: str, n: int) -> None:
    """Raise `TableError` unless a column holds one number for each of n showers."""
    if name not in table.columns:
        others = ", ".join(sorted(c for c in table.columns if c not in ENERGIES)[:8])
        raise TableError(f"has no column `{name}`, a condition of the model, but {others}")
    column = table.columns[name]
    if column.other:
        raise TableError(f"`{name}` holds {column.other}, not numbers")
    if column.rows != n:
        raise TableError(f"`{name}` has {column.rows} rows beside {n} showers")
    inner = table.inner(name)
    if inner is not None and prod(inner) != 1:
        raise TableError(
            f"`{name}` has shape {(n, *inner)} beside {n} showers: one number for each"
        )


def _widths(table: Table, names: list[str], geometry: Geometry, n: int) -> list[int]:
    for name in names:
        column = table.columns[name]
        if column.other:
            raise TableError(f"`{name}` holds {column.other}, not numbers")
        if column.rows != n:
            raise TableError(f"`{name}` has {column.rows} rows, but `{names[0]}` {n}")
    inner = [table.inner(name) for name in names]
    shapes = [layer.shape for layer in geometry.layers]
    if names == ["showers"]:
        if inner[0] is not None and not _is_whole(inner[0], shapes):
            raise TableError(
                f"`showers` has shape {(n, *inner[0])}, but geometry {geometry.name} has "
                f"{geometry.n_cells} cells"
            )
        return [geometry.n_cells]
    fits = len(inner) == len(shapes) and all(
        one is None or _without_ones(one) in {_without_ones(shape), _without_ones((prod(shape),))}
        for one, shape in zip(inner, shapes, strict=True)
    )
    if not fits:
        raise TableError(f"layers {inner}, but geometry {geometry.name} has {shapes}")
    return [prod(shape) for shape in shapes]


def _is_whole(inner: tuple[int, ...], shapes: list[tuple[int, int]]) -> bool:
    """Return whether one row holds the cells of all layers in their order."""
    allowed = {_without_ones((sum(map(prod, shapes)),))}
    if len(set(shapes)) == 1:  # layers alike make a block
        allowed |= {_without_ones((len(shapes), *s)) for s in (shapes[0], (prod(shapes[0]),))}
    return _without_ones(inner) in allowed


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)


def _energy(
    contents: Contents, at: str, said: Reading, *, calogan: bool
) -> tuple[ColumnPath | None, str]:
    """Return where the incident energies are, and their unit."""
    columns = contents.tables[at].columns
    known = ENERGIES | (dict([CALOGAN_ENERGY]) if calogan else {})
    if said.energy == NONE:
        return None, "MeV"
    place = _place(contents, at, said.energy) if said.energy else None
    if place is not None:
        return place, known.get(place.column, "MeV")
    for name, unit in known.items():
        if name in columns:
            return ColumnPath(at, name), unit
    if said.energy:
        raise TableError(f"has no column `{said.energy}` of incident energies")
    alike = [str(place) for place in _alike(contents)]
    if alike:
        raise TableError(
            f"no `incident_energies`, but `{'`, `'.join(alike[:4])}`: say --energy "
            f"{alike[0]} (and --unit, if it is not MeV), or --energy {NONE}"
        )
    return None, "MeV"


def _place(contents: Contents, at: str, path: str) -> ColumnPath | None:
    """Return the column of a path, or of a name in the table of the showers, if there is one."""
    inside, _, column = path.rpartition("/")
    for place in (ColumnPath(at, path), ColumnPath(inside or at, column)):
        if place.table in contents.tables and place.column in contents.tables[place.table].columns:
            return place
    return None


def _alike(contents: Contents) -> list[ColumnPath]:
    """Return the columns whose names say that they may be incident energies."""
    found = []
    for at, table in contents.tables.items():
        for name in table.columns:
            plain = re.sub(r"[^a-z]+", "_", name.lower()).strip("_")
            near = get_close_matches(plain, LIKE_ENERGIES, cutoff=0.88)
            if near or plain.replace("_", "") in {"e", "einc", "etrue", "egen", "ebeam"}:
                found.append(ColumnPath(at, name))
    return found


def _check_energy(contents: Contents, place: ColumnPath | None, n: int) -> None:
    if place is not None:
        _check_numbers(contents.tables[place.table], place.column, n)
