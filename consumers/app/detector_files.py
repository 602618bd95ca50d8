"""Detector files: the detector and the geometry that the settings name, without loading a model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from consumers.wire.user_error import UserError
from models.detector import files as geometries
from models.detector import known_bad
from models.detector.channels import ChannelsError
from models.detector.geometry import GeometryError
from monitor.detector import tree as detectors

if TYPE_CHECKING:
    from pathlib import Path

    from consumers.app.settings import Settings
    from models.detector.geometry import Geometry
    from monitor.detector.tree import Detector


def detector_of(settings: Settings) -> Detector:
    """Return the detector of the settings, or raise `UserError`."""
    if settings.detector is None:
        found = detectors.grid("calo", sectors=4, regions_per_sector=4)
    else:
        try:
            found = detectors.load(settings.detector)
        except detectors.DetectorError as error:
            raise UserError(str(error)) from None
    return found if settings.known_bad is None else _with_known_bad(found, settings.known_bad)


def _with_known_bad(detector: Detector, path: Path) -> Detector:
    if detector.channels is None:
        raise UserError(f"{path}: the detector file says no channels that could be known bad")
    try:
        return replace(detector, known_bad=known_bad.load(path, detector.channels))
    except ChannelsError as error:
        raise UserError(str(error)) from None


def check_patches(detector: Detector, geometry: Geometry) -> None:
    """Raise `UserError` if a detector's patches are not showers of a geometry."""
    misfit = "" if detector.channels is None else detector.channels.misfit(geometry)
    if misfit:
        raise UserError(f"detector {detector.name}: {misfit}")


def geometry_of(settings: Settings) -> Geometry:
    """Return the geometry of the artefact, without loading its model, or raise `UserError`."""
    try:
        return geometries.load(settings.artefact / "geometry.json")
    except GeometryError as error:
        raise UserError(f"artefact {error}") from None
