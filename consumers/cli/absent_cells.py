"""Absent cells: those of a file's showers that lie outside of the detector, or are known to be bad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from consumers.app import environment, wiring
from consumers.app.detector_files import check_patches, detector_of
from consumers.cli import reading
from consumers.score.hidden import hidden_cells
from consumers.wire.user_error import UserError
from models.showers.layouts import SEED

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.scoring.artefact import Artefact
    from models.scoring.scored import Scored
    from models.scoring.scorer import Scorer
    from models.showers.batch import Showers
    from models.showers.readers import ShowerFile
    from monitor.detector.tree import Detector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option that says what seeds mean."""
    environment.add_arguments(parser, "detector")


def detector_with_channels(args: argparse.Namespace, geometry: Geometry) -> Detector | None:
    """Return the detector whose channels seeds are; None if nobody says any.

    Raises
    ------
    UserError
        If its patches are not showers of the geometry.
    """
    given = environment.from_arguments(args)
    if given.detector is None:
        return None
    detector = detector_of(given)
    check_patches(detector, geometry)
    return None if detector.channels is None else detector


def tell_unused(file: ShowerFile) -> None:
    """Tell that a file says seeds which nobody explains."""
    if file.has_seeds and not file.said.seeds:
        reading.warn(
            f"{file.path}: its seeds are not used: no detector file (--detector) says channels; at "
            "borders, cells that are absent count as they are written"
        )


def hidden_of(
    showers: Showers,
    detector: Detector | None,
    time_ns: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_] | None:
    """Return the cells that say nothing, shape (N, V); None if all do.

    Parameters
    ----------
    time_ns
        Data time of each shower, shape (N,); without, only what is bad always is known to be.
    """
    if detector is None:
        return None
    times = np.zeros(showers.n, np.int64) if time_ns is None else time_ns
    return hidden_cells(showers, times, detector)


def check_seeds(
    file: ShowerFile, showers: Showers, row: NDArray[np.int64], detector: Detector | None
) -> None:
    """Raise `UserError` if a shower is centred on what is no channel, or none to be a seed."""
    if detector is None or detector.channels is None or showers.seeds is None:
        return
    may = detector.channels.may_seed
    wrong = ~np.append(may, False)[np.minimum(showers.seeds, len(may))]
    if wrong.any():
        first = int(np.argmax(wrong))
        raise UserError(
            f"{file.path}: `{SEED}` {showers.seeds[first]} in row {row[first]} is no channel that "
            "may be one"
        )


def is_whole(showers: Showers, detector: Detector | None) -> NDArray[np.bool_]:
    """Return which showers have all of their cells, shape (N,)."""
    hidden = hidden_of(showers, detector)
    if hidden is None:
        return np.ones(showers.n, np.bool_)
    whole: NDArray[np.bool_] = np.logical_not(hidden.any(axis=1))
    return whole


def scorer_of(artefact: Artefact, device: str, detector: Detector | None) -> Scorer:
    """Return a scorer that knows what to expect at borders and beside what is known to be bad."""
    if detector is None:
        return artefact.scorer(device)
    given = environment.load({"device": device})
    scorer, channels = wiring.scorer_of(artefact, given, detector), detector.channels
    if channels is not None and detector.known_bad is not None:
        sets = channels.lacking(detector.known_bad.ever())
        wiring.learn_absences(scorer, artefact, given, sets)
    return scorer


@dataclass(frozen=True)
class Hiding:
    """A scorer that leaves out what is absent of each shower."""

    scorer: Scorer
    detector: Detector | None

    @property
    def geometry(self) -> Geometry:
        """Return the cells of a shower."""
        return self.scorer.geometry

    def score(self, showers: Showers) -> Scored:
        """Return scores and latents."""
        return self.scorer.score(showers, hidden=hidden_of(showers, self.detector))
