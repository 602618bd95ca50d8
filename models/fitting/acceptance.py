"""Acceptance: a model that fits is taken, another one only by who says what does not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from models.fitting.checkpoint import TrainingError
from models.scoring import artefact
from models.scoring.fitness import cut_short, misfits

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from models.scoring.artefact import Artefact
    from models.scoring.fitness import Misfit


class Unfit(TrainingError):  # noqa: N818  what the model is
    """A model that does not fit the showers that it would be certified with."""

    def __init__(self, found: Sequence[Misfit], why: str | None = None) -> None:
        kinds = ",".join(sorted({misfit.kind for misfit in found}))
        told = "; ".join([*map(str, found), *([] if why is None else [why])])
        super().__init__(f"not certified: {told}. To take it all the same: --despite {kinds}")


def accepted(made: Artefact, despite: Collection[str]) -> Artefact:
    """Return a model that fits, or one of which somebody said what does not; its card says so.

    Parameters
    ----------
    despite
        What is known not to fit: values of `Unfitness`. Such a model is never announced.

    Raises
    ------
    Unfit
        If something else does not fit.
    """
    found = misfits(made)
    if not {misfit.kind for misfit in found} <= set(despite):
        raise Unfit(found, cut_short(made.card))
    if not found:
        return made
    card = {**made.card, "despite": [str(misfit) for misfit in found]}
    return artefact.signed(replace(made, card=card))
