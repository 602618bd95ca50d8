"""Openings: neutral pions against the distance of their photons, for the page of the papers."""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.bench.sheets import Sheet
from consumers.cli.reading import Files
from models.fitting.lessons import ClassifierOptions
from models.fitting.training import Session
from models.showers.pool import clean
from models.studies import openings as studies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from models.scoring.artefact import Artefact
    from models.showers.batch import Showers

LEARNT, HELD_OUT = 14_000, 1500
DONORS, MADE = 8000, 4000
LESSON = ClassifierOptions(("second:mm=20,x=0.5",), epochs=14, patience=4)
"""How long, and how wide; the fault is what a pion comes nearest to, and is not injected."""


def told(
    data: Path, models: tuple[Artefact, Artefact], good: Showers, pi0: Showers
) -> dict[str, Any]:
    """Return what two models, and a classifier beside the first, see of pions.

    Parameters
    ----------
    data
        Folder of the clean photons that pions are made of: other ones to teach with and to ask
        about.
    """
    flux = models[0]
    learnt, asked = data / "gamma_reference.h5", data / "gamma_calibration.h5"
    opened = Files.open([learnt, asked], flux.geometry)
    photons = clean(opened.pool([learnt]).showers)
    rows, n = np.arange(photons.n), min(LEARNT, photons.n * 9 // 10)
    judge = studies.taught(
        flux, photons[rows[:n]], photons[rows[n : n + HELD_OUT]], LESSON, Session()
    )
    rng = np.random.default_rng([1, 41])
    donors = opened.pool([asked]).showers[slice(0, DONORS)]
    energy = rng.uniform(good.e_inc.min(), good.e_inc.max(), MADE)
    apart, made = studies.made_of(donors, energy, flux.geometry, rng)
    made = studies.read(made, flux.geometry, rng)

    def scores(showers: Showers) -> dict[str, Any]:
        by_model = {one.family: one.scorer("cpu").score(showers).p_combined for one in models}
        return {**by_model, "classifier": judge(showers)}

    calm, own, real = scores(good), scores(made), scores(pi0)
    parts: dict[str, tuple[dict[str, Any], Any, tuple[float, ...]]] = {
        "made, by distance": (own, apart, studies.OPENINGS_MM),
        "made, by energy": (own, made.e_inc, studies.ENERGIES_MEV),
        "Geant4, by energy": (real, pi0.e_inc, studies.ENERGIES_MEV),
    }
    return {
        "learnt": n,
        "good": good.n,
        **{
            name: {
                "edges": [None if np.isinf(edge) else edge for edge in edges],
                "scores": {k: asdict(v) for k, v in studies.by_score(calm, s, x, edges).items()},
            }
            for name, (s, x, edges) in parts.items()
        },
    }


def sheets(found: dict[str, Any]) -> Iterator[Sheet]:
    """Yield the tables of the pions."""
    for name, unit, scale in (
        ("made, by distance", "mm", 1),
        ("made, by energy", "GeV", 1000),
        ("Geant4, by energy", "GeV", 1000),
    ):
        yield _sheet(found[name], name, unit, scale)


def _sheet(part: dict[str, Any], name: str, unit: str, scale: float) -> Sheet:
    edges, scores = part["edges"], part["scores"]
    rows = []
    for i, (low, high) in enumerate(pairwise(edges)):
        bin_ = f"above {low / scale:g}" if high is None else f"{low / scale:g}–{high / scale:g}"
        n = scores["flux"]["bins"][i]["n"]
        if n:
            rows.append(
                (f"{bin_} {unit}", f"{n:,}", *(_rate(s["bins"][i]) for s in scores.values()))
            )
    whole = [s["whole"] for s in scores.values()]
    rows.append(("all", f"{whole[0]['n']:,}", *map(_rate, whole)))
    rows.append(("all: AUC", "", *(f"{s['auc']:.4f}" for s in scores.values())))
    kind = "made of two photons" if name.startswith("made") else "of Geant4"
    note = {
        "made, by distance": "Two photons of Geant4 at the kinematics of decays 1.6 m in front of the "
        "face, moved and scaled; the distance is that at the face.",
        "made, by energy": "The same pions: beside those of Geant4 they say what making them is worth.",
        "Geant4, by energy": "The pions that ship; nobody kept their distances. They are 432 mm over "
        "the energy in GeV apart at least, and mostly little more.",
    }[name]
    return Sheet(
        f"Pions {kind}, by {name.split('by ')[1]}: TPR at FPR 1e-2",
        ("pions", "n", *(_NAMES.get(score, score) for score in scores)),
        tuple(rows),
        note,
    )


def _rate(told: dict[str, Any]) -> str:
    return f"{told['value']:.3f} ({told['low']:.3f}–{told['high']:.3f})"


_NAMES = {"classifier": "a classifier taught pions"}
