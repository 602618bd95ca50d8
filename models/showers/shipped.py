"""Shipped: the Geant4 showers that come with the package, for the demo, benchmarks and tests."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PB_LAR: Final = Path(__file__).parents[1] / "geant4" / "pb-lar"
"""Photons, and what is not one, in lead and liquid argon: see the README beside it."""

CERTIFIED: Final = PB_LAR / "gamma_reference.h5"
"""Photons that the shipped models are certified with, the largest part of them."""

DEMO: Final = PB_LAR / "gamma_demo.h5"
"""Photons that no shipped model has seen."""
