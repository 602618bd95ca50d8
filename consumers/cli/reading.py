"""Reading: the shower files that a command is given, checked together before any work begins."""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from consumers.wire.user_error import UserError
from models.showers import readers, units
from models.showers.layouts import UNITS, Reading
from models.showers.pool import Pool, digitise
from models.showers.recordings import left_out
from models.showers.tables import TableError
from models.simulation import sources

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence

    from models.detector.geometry import Geometry
    from models.scoring.description import Described
    from models.showers.batch import Showers
    from models.showers.readers import ShowerFile

LOOKED_AT = 2000
"""Showers of each file that its units are told by."""

MEV = Reading(cells_unit="MeV", energies_unit="MeV")
"""Files of our own: their units are known."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what shower files do not say themselves."""
    parser.add_argument(
        "--unit",
        action="append",
        default=[],
        metavar="UNIT",
        help=f"of cells and incident energies, or cells=UNIT, energies=UNIT; one of "
        f"{', '.join(UNITS)}. Default: as the form of the file has them, and refused if the "
        "geometry's noise and sampling fraction speak against it",
    )
    parser.add_argument(
        "--energy",
        default="",
        metavar="COLUMN",
        help="of the incident energies, if it is not `incident_energies`; GROUP/COLUMN for one of "
        "another group or tree; none: they are not known",
    )
    parser.add_argument(
        "--table", default="", metavar="NAME", help="group or tree, if several hold showers"
    )
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out rows that cannot be showers, and count"
    )


def words(args: argparse.Namespace) -> list[str]:
    """Return the options again, as they are typed."""
    units = [word for unit in args.unit for word in ("--unit", unit)]
    named = [word for name in ("energy", "table") for word in (f"--{name}", getattr(args, name))]
    return [*units, *named, *(["--skip-bad"] if args.skip_bad else [])]


def said(
    args: argparse.Namespace,
    conditions: Sequence[str] = (),
    *,
    stream: bool = False,
    seeds: bool = False,
) -> Reading:
    """Return what the options say of files, or raise `UserError`.

    Parameters
    ----------
    conditions
        Columns that the model needs.
    stream
        Whether region, run, lumisection and time are wanted.
    seeds
        Whether the channels that showers are centred on are wanted.
    """
    unit = {"cells": "", "energies": ""}
    for text in args.unit:
        what, _, of = text.rpartition("=")
        if what and what not in unit:
            raise UserError(f"--unit {text}: write UNIT, cells=UNIT or energies=UNIT")
        unit |= dict.fromkeys([what] if what else unit, of)
    try:
        return Reading(
            table=args.table,
            energy=args.energy,
            cells_unit=unit["cells"],
            energies_unit=unit["energies"],
            conditions=tuple(conditions),
            stream=stream,
            seeds=seeds,
            skip_bad=args.skip_bad,
        )
    except TableError as error:
        raise UserError(f"--unit: {error}") from None


def named(texts: Iterable[str], option: str) -> dict[str, Path]:
    """Return the files of options of the form NAME=FILE, by name, or raise `UserError`."""
    found = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not (name and path):
            raise UserError(f"{option} {text}: write NAME=FILE")
        found[name] = Path(path)
    return found


@dataclass(frozen=True)
class Files:
    """The shower files of one command, open and looked at."""

    geometry: Geometry
    opened: Mapping[Path, ShowerFile]

    @classmethod
    def open(cls, paths: Iterable[Path], geometry: Geometry, said: Reading = MEV) -> Files:
        """Return files whose columns are there and whose units are those of their forms.

        Raises
        ------
        UserError
            If one of them is none, or it takes somebody's word to read it.
        """
        found: dict[Path, ShowerFile] = {}
        for path in dict.fromkeys(paths):
            try:
                found[path] = sources.open_source(path, geometry, said)
                _check_units(found[path])
            except (readers.ReaderError, OSError) as error:
                raise UserError(str(error)) from None
        return cls(geometry, found)

    def n(self, paths: Iterable[Path]) -> int:
        """Return how many rows some of the files have."""
        return sum(self.opened[path].n for path in paths)

    def check_memory(self, paths: Iterable[Path]) -> None:
        """Raise `UserError` if files that are read whole do not fit into memory together."""
        try:
            readers.check_memory([self.opened[path] for path in paths])
        except readers.ReaderError as error:
            raise UserError(str(error)) from None

    def pool(self, paths: Sequence[Path]) -> Pool:
        """Return the showers of some of the files; those that state `noise_mev` = 0 are clean."""
        files = [self.opened[path] for path in paths]
        try:
            found = readers.gather(files)
        except (readers.ReaderError, OSError) as error:
            raise UserError(str(error)) from None
        start = 0
        for file, count, bad in zip(files, found.counts, found.bad, strict=True):
            tell(file, found.showers.e_inc[start : start + count])
            if bad:
                warn(f"{file.path}: {left_out(bad, file.n)}")
            start += count
        clean = [np.full(n, file.clean) for n, file in zip(found.counts, files, strict=True)]
        return Pool(found.showers, np.concatenate(clean))

    def showers(self, path: Path) -> Showers:
        """Return the showers of a file as the detector reads them.

        Those of a file that states `noise_mev` = 0 get noise: the same every time, another for each
        file.
        """
        found = self.pool([path]).showers
        if not self.opened[path].clean:
            return found
        content = zlib.crc32(np.ascontiguousarray(found.cells).data)
        noisy = digitise(found.cells, self.geometry, np.random.default_rng([1, content]))
        return replace(found, cells=noisy)

    def named(self, paths: Mapping[str, Path]) -> dict[str, Showers]:
        """Return the showers of some of the files by name."""
        return {name: self.showers(path) for name, path in paths.items()}


def opened(
    args: argparse.Namespace, model: Described, paths: Sequence[Path], *, seeds: bool = False
) -> Files:
    """Return the files that a model is to see, all of which fit into memory, or raise `UserError`."""
    told = said(args, model.feature_map.condition_names, seeds=seeds)
    files = Files.open(paths, model.geometry, told)
    files.check_memory(paths)
    return files


def tell(file: ShowerFile, e_inc: np.ndarray) -> None:
    """Tell how many incident energies of a file are known."""
    warn(f"{file.path}: {len(e_inc)} showers, {energies_known(e_inc)}")


def energies_known(e_inc: np.ndarray) -> str:
    """Return how many incident energies are known, in words."""
    known = int(np.count_nonzero(~np.isnan(e_inc)))
    if known == len(e_inc):
        return "all incident energies known"
    return f"incident energies known of {known}" if known else "no incident energy known"


def warn(text: str) -> None:
    """Tell people something that no program reads."""
    print(text, file=sys.stderr)


def _check_units(file: ShowerFile) -> None:
    if file.said.cells_unit and file.said.energies_unit:  # somebody's word
        return
    if str(file.path).startswith(sources.SIMULATED):
        return
    first = file.rows(0, LOOKED_AT).showers
    doubts = list(units.doubts(first, file.geometry, clean=file.clean))
    if doubts:
        raise readers.ReaderError(
            f"{file.path}: {' and '.join(doubts)}: another unit? Say --unit GeV, cells=GeV or "
            "energies=GeV; MeV if it is right"
        )
