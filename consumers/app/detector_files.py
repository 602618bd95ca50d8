"""Detector files: the detector and the geometry that the settings name, without loading a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.wire.user_error import UserError
from models.detector import files as geometries
from models.detector.geometry import GeometryError
from monitor.detector import tree as detectors

if TYPE_CHECKING:
    from consumers.app.settings import Settings
    from models.detector.geometry import Geometry
    from monitor.detector.tree import Detector


def detector_of(settings: Settings) -> Detector:
    """Return the detector of the settings, or raise `UserError`."""
    if settings.detector is None:
        return detectors.grid("calo", sectors=4, regions_per_sector=4)
    try:
        return detectors.load(settings.detector)
    except detectors.DetectorError as error:
        raise UserError(str(error)) from None


def geometry_of(settings: Settings) -> Geometry:
    """Return the geometry of the artefact, without loading its model, or raise `UserError`."""
    try:
        return geometries.load(settings.artefact / "geometry.json")
    except GeometryError as error:
        raise UserError(f"artefact {error}") from None
