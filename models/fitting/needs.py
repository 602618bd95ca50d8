"""Needs: how many showers a recipe takes, said before any of them is trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.fitting.checkpoint import TrainingError
from models.fitting.training import HELD_OUT_MIN
from models.flows.standards import ENOUGH
from models.scoring.condition_cells import COMFORT, IN_A_CELL


@dataclass(frozen=True, slots=True)
class Needs:
    """What a training does with its showers."""

    held_out: float
    """Share that training is stopped on."""

    certify: float
    """Share set aside for the reference, if no others are given for it."""

    condition_cells: int

    def check(self, n: int, given: int | None) -> None:
        """Raise `TrainingError` if n showers, and those given for the reference, cannot do."""
        reference = IN_A_CELL * self.condition_cells
        if given is not None and given < reference:
            raise TrainingError(
                f"{given} showers for the reference are too few: {self.condition_cells} condition "
                f"cells take about {_round(COMFORT * reference)}"
            )
        aside = self.certify if given is None else 0.0
        parts = {
            f"{HELD_OUT_MIN} held-out showers ({self.held_out:.0%})": HELD_OUT_MIN / self.held_out,
            f"{ENOUGH} to train on": ENOUGH / (1 - self.held_out - aside),
        }
        if given is None:
            cells = f"{IN_A_CELL:.0f} in each of {self.condition_cells} condition cells"
            parts[f"{cells} of the reference ({self.certify:.0%})"] = reference / self.certify
        most = max(parts.values())
        if n < most:
            about = _round(most if given is not None else COMFORT * most)
            raise TrainingError(
                f"{n} showers are too few: this recipe takes about {about}: {', '.join(parts)}"
            )


def _round(n: float) -> int:
    """Return a number of showers that people can remember, not smaller."""
    step = 10.0 ** max(math.floor(math.log10(n)) - 1, 0)
    return round(math.ceil(n / step) * step)
