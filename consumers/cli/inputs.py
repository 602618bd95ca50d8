"""What commands are given: artefacts and files of showers, or one line that says what is wrong."""

from __future__ import annotations

import tomllib
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.wire.user_error import UserError
from models.flows.interface import tuples
from models.showers import readers
from models.showers.batch import concatenate
from models.simulation import sources

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from models.detector.geometry import Geometry
    from models.fitting.recipe import Recipe
    from models.scoring.artefact import Artefact
    from models.showers.batch import Showers
    from models.showers.pool import Pool

OPTIONS = ("epochs", "seed")
"""Names of changes to a recipe that are fields of its options."""


def artefact(path: Path) -> Artefact:
    """Return the artefact of a folder, or raise `UserError`."""
    from models.scoring.artefact import Artefact  # noqa: PLC0415  torch takes seconds
    from models.scoring.description import ArtefactError  # noqa: PLC0415

    try:
        return Artefact.load(path)
    except ArtefactError as error:
        raise UserError(str(error)) from None


def showers(path: Path, geometry: Geometry) -> Showers:
    """Return the showers of a file as the detector reads them, or raise `UserError`.

    Those of a file that states `noise_mev` = 0 get noise: the same every time, another for each file.
    """
    from models.showers.pool import digitise  # noqa: PLC0415  torch takes seconds

    found = _read(path, geometry)
    if not readers.is_clean(path, geometry):
        return found
    content = zlib.crc32(np.ascontiguousarray(found.cells).data)
    noisy = digitise(found.cells, geometry, np.random.default_rng([1, content]))
    return replace(found, cells=noisy)


def _read(path: Path, geometry: Geometry) -> Showers:
    try:
        return sources.read(path, geometry)
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
    from models.showers.pool import Pool  # noqa: PLC0415  torch takes seconds

    batches, clean = [], []
    for path in paths:
        batches.append(_read(path, geometry))
        clean.append(np.full(batches[-1].n, readers.is_clean(path, geometry)))
    return Pool(concatenate(batches), np.concatenate(clean))


def examined(
    made: Artefact,
    good: Showers,
    strange: Mapping[str, Showers],
    *,
    device: str,
    out: Path,
    despite: Collection[str],
) -> Artefact:
    """Return an artefact whose card says what it is worth on showers that it never met.

    Parameters
    ----------
    out
        Where the artefact is saved as it is if these showers are none that can be scored.
    despite
        As of `acceptance.accepted`: a model may fit what it was certified with, and not these.

    Raises
    ------
    UserError
        If the showers cannot be scored; `models.fitting.acceptance.Unfit` if they do not fit.
    """
    from models.fitting import acceptance, certification  # noqa: PLC0415  torch takes seconds

    try:
        found = certification.examined(made, good, strange, device)
    except ValueError as error:
        made.save(out)
        raise UserError(f"{error}; the artefact is saved without figures of --test") from None
    return acceptance.accepted(found, despite)


def recipe(path: Path | None, **changes: Any) -> Recipe:
    """Return the recipe of a TOML file, or the default one, or raise `UserError`.

    Parameters
    ----------
    changes
        Fields of the recipe or of its options; None changes nothing.
    """
    from models.fitting.checkpoint import TrainingError  # noqa: PLC0415
    from models.fitting.lessons import ClassifierOptions  # noqa: PLC0415  torch takes seconds
    from models.fitting.recipe import Recipe  # noqa: PLC0415
    from models.fitting.training import Options  # noqa: PLC0415

    try:
        told = {} if path is None else tomllib.loads(path.read_text(encoding="utf-8"))
        for name in ("options", "model", "classifier"):
            if not isinstance(told.get(name, {}), dict):
                raise UserError(f"{path}: {name} must be a table")
        options = told.pop("options", {})
        for name, value in changes.items():
            if value is not None:
                (options if name in OPTIONS else told)[name] = value
        if "classifier" in told:
            told["classifier"] = ClassifierOptions(**tuples(told["classifier"]))
        told["model"] = tuples(told.get("model", {}))
        return Recipe(options=Options(**tuples(options)), **tuples(told))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError) as error:
        raise UserError(f"{path}: {error}") from None
    except TrainingError as error:
        raise UserError(str(error)) from None
