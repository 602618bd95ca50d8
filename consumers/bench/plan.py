"""What the benchmark of the alarms runs on: the detector, the showers, and how much of it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumers.app.settings import ROOT
from models.showers import shipped
from monitor.detector.tree import grid
from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.reference.live import LiveSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.scoring.artefact import Artefact
    from monitor.reference.expectation import Expectation

    Tell = Callable[[str], None]

DATA = shipped.PB_LAR
SHOWERS = (DATA / "gamma_check.h5", DATA / "gamma_test.h5")
"""Good showers that no reference and no training has seen."""

SECTORS, PER_SECTOR = 8, 8
REGIONS = SECTORS * PER_SECTOR
RATE = 1000.0
"""Showers per second in the whole detector."""

N_REF = 100_000
START = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is to be run, and on what."""

    days: int
    """Of good data whose counts are simulated."""

    region_days: float
    """Of good data of single regions whose latents are simulated."""

    hours: float
    """Of good data that are resampled from real showers."""

    trials: int
    """Of each fault."""

    learnt_trials: int
    """Of each fault and each contamination of the live reference."""

    handovers: int
    """Of each fault, from one judge to another."""

    seed: int
    artefact: Path
    showers: tuple[Path, ...]
    """Good showers that no reference has seen, from which streams are drawn."""


def judge_of(
    artefact: Artefact, reference: Expectation | None = None, *, guarded: bool = True
) -> Monitor:
    """Return a monitor of the whole detector that does not learn while it watches.

    Parameters
    ----------
    reference
        What it holds good showers to be; the artefact's own reference if not given.
    guarded
        Whether a live reference, where there is one, is bounded by the certified one.
    """
    settings = MonitorSettings(live=LiveSettings(enabled=False, guarded=guarded))
    detector = grid("calo", SECTORS, PER_SECTOR)
    return Monitor(detector, artefact.geometry, reference or artefact.reference, settings)


def commit() -> str | None:
    """Return the commit that is checked out; None where there is none."""
    git = shutil.which("git")
    if git is None:
        return None
    words = [git, "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]
    said = subprocess.run(words, capture_output=True, check=False, text=True)  # noqa: S603
    return said.stdout.strip() or None
