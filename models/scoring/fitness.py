"""Fitness: does a model fit the good showers that it was certified with; what it says, it must keep."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betaincinv

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from models.scoring.description import Described
    from models.scoring.reference import ReferenceTable

SQUARE = (0.8, 1.25)
"""Mean square of all latents of good showers: 1 where a model fits."""

MEAN_MOST = 0.3
"""Largest root mean square of the latents' means: 0 where a model fits."""

ONE_SQUARE = (0.5, 2.0)
"""Mean square of one latent, which no more than `BEYOND_MOST` of all may be beyond."""

BEYOND_MOST = 0.02

GAP_MOST = 0.1
"""By how much the held-out loss may be above that of training, nats a dimension."""

SURELY = 5.0
"""Standard errors from which on such a gap is one."""

FALLING = 0.01
"""A held-out loss that fell by more than this in the latter half of its epochs, nats a dimension, would
have fallen further."""

WRONG = 1.6
"""Factor by which the exceedances of good showers may be off at some energy, at the level 0.1."""

DOUBT = 1e-4
"""Chance that a rate is called off though it is not."""


class Unfitness(StrEnum):
    """What does not fit: the word by which somebody may order that a model is taken all the same."""

    LATENTS = "latents"
    CALIBRATION = "calibration"
    LOSSES = "losses"


@dataclass(frozen=True, slots=True)
class Misfit:
    """One thing that does not fit."""

    kind: Unfitness
    text: str
    """One line."""

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.kind}: {self.text}"


def misfits(model: Described) -> tuple[Misfit, ...]:
    """Return what does not fit of a model, by its reference and its card; nothing if it fits.

    Models that were made before a figure was kept are judged by those that they have.
    """
    held_out = model.card.get("held_out", {})
    found = [
        *_latents(model.reference),
        *_square("on the showers of --test", held_out.get("latent_square")),
        *_calibration(model.card, model.reference),
        *_losses(model.card.get("losses", {})),
    ]
    return tuple(found)


def cut_short(card: Mapping[str, Any]) -> str | None:
    """Return that a model was trained too briefly, in a line; None if it was not, by its card."""
    for phase, loss in card.get("losses", {}).items():
        # What is no density is not measured in nats.
        if loss["dimensions"] > 1 and loss.get("fell", 0) > FALLING * loss["dimensions"]:
            return (
                f"the held-out loss of the {phase} was still falling, by {loss['fell']:.3g} in the "
                f"latter half of {loss['epochs']:.0f} epochs: give more of them, or smaller batches"
            )
    return None


def _latents(reference: ReferenceTable) -> Iterator[Misfit]:
    if reference.origin != "certified":  # drawn from the model, it fits the model
        return
    weight = reference.n_ref / reference.n_ref.sum()
    mean, square = (weight @ moment for moment in reference.latent_moments[:2])
    yield from _square("on the showers it was certified with", float(square.mean()))
    off = math.sqrt(float(np.square(mean).mean()))
    if off > MEAN_MOST:
        text = f"the means of the latents are off by {off:.2f} (0 is right)"
        yield Misfit(Unfitness.LATENTS, text)
    beyond = np.flatnonzero((square < ONE_SQUARE[0]) | (square > ONE_SQUARE[1]))
    if len(beyond) > BEYOND_MOST * len(square):
        text = f"{len(beyond)} of {len(square)} latents have a mean square from "
        text += f"{square[beyond].min():.2g} to {square[beyond].max():.3g} (1 is right)"
        yield Misfit(Unfitness.LATENTS, text)


def _square(where: str, value: float | None) -> Iterator[Misfit]:
    if value is not None and not SQUARE[0] <= value <= SQUARE[1]:
        text = f"mean square of the latents {value:.3g} {where} (1 is right)"
        yield Misfit(Unfitness.LATENTS, text)


def _calibration(card: Mapping[str, Any], reference: ReferenceTable) -> Iterator[Misfit]:
    for row in card.get("certified", {}).get("by_energy", ()):
        low, high = row["mev"]
        where = f"{low / 1000:.3g} to {high / 1000:.3g} GeV"
        yield from _rate(row["exceedance"], row["showers"], where)
    held_out = card.get("held_out", {})
    for cell, rates in held_out.get("exceedance", {}).items():
        if cell != "-1" and rates.get("0.1") is not None:
            showers = held_out["showers"] // reference.n_cells
            yield from _rate(
                rates["0.1"], showers, f"condition cell {cell} of the showers of --test"
            )


def _rate(rate: float, showers: int, where: str) -> Iterator[Misfit]:
    k = round(rate * showers)
    low = float(betaincinv(k, showers - k + 1, DOUBT)) if k else 0.0
    high = float(betaincinv(k + 1, showers - k, 1 - DOUBT)) if k < showers else 1.0
    if low > 0.1 * WRONG or high < 0.1 / WRONG:
        text = f"{rate:.3f} of good showers have p at most 0.1 in {where}"
        yield Misfit(Unfitness.CALIBRATION, text)


def _losses(losses: Mapping[str, Any]) -> Iterator[Misfit]:
    for phase, loss in losses.items():
        train, held_out = loss["train"], loss["held_out"]
        gap = held_out - train
        if gap > max(GAP_MOST * loss["dimensions"], SURELY * loss["error"]):
            text = f"{phase}: loss {train:.4g} in training, {held_out:.4g} held out"
            yield Misfit(Unfitness.LOSSES, text)
