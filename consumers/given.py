"""What commands are given: artefacts and files of showers, or one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from consumers.failure import UserError
from models import readers
from models.showers import concatenate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.artefact import Artefact
    from models.geometry import Geometry
    from models.showers import Showers
    from models.training import Pool


def artefact(path: Path) -> Artefact:
    """Return the artefact of a folder, or raise `UserError`."""
    from models.artefact import Artefact, ArtefactError  # noqa: PLC0415  torch takes seconds

    try:
        return Artefact.load(path)
    except ArtefactError as error:
        raise UserError(str(error)) from None


def showers(path: Path, geometry: Geometry) -> Showers:
    """Return the showers of a file, or raise `UserError`."""
    try:
        return readers.read(path, geometry)
    except (readers.ReaderError, OSError) as error:
        raise UserError(str(error)) from None


def named(texts: Iterable[str], geometry: Geometry, option: str) -> dict[str, Showers]:
    """Return the showers of options of the form NAME=FILE, by name, or raise `UserError`."""
    found = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not (name and path):
            raise UserError(f"{option} {text}: write NAME=FILE")
        found[name] = showers(Path(path), geometry)
    return found


def pool(paths: Iterable[Path], geometry: Geometry) -> Pool:
    """Return the showers of some files; those that state `noise_mev` = 0 are clean."""
    from models.training import Pool  # noqa: PLC0415  torch takes seconds

    batches, clean = [], []
    for path in paths:
        batches.append(showers(path, geometry))
        clean.append(np.full(batches[-1].n, _is_clean(path, geometry)))
    return Pool(concatenate(batches), np.concatenate(clean))


def _is_clean(path: Path, geometry: Geometry) -> bool:
    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as file:
        return geometry.noise_mev > 0 and file.attrs.get("noise_mev", geometry.noise_mev) == 0
