"""Files of geometries: ours in JSON, and CaloChallenge binnings in XML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.detector import calochallenge, geometry

if TYPE_CHECKING:
    from models.detector.geometry import Geometry

SHIPPED = Path(__file__).parents[1] / "geometries"


def load(path: Path) -> Geometry:
    """Return the geometry of a file, or raise `GeometryError` with the file's name."""
    try:
        text = path.read_text(encoding="utf-8")
        return calochallenge.parse(text) if text.lstrip()[:1] == "<" else geometry.parse(text)
    except (OSError, UnicodeDecodeError, geometry.GeometryError) as error:
        raise geometry.GeometryError(f"{path}: {error}") from None
