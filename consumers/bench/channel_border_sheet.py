"""Channel border sheet: the table of what `calodqm bench channels --only borders` measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.bench.sheets import Sheet

if TYPE_CHECKING:
    from consumers.bench.units_file import Unit


def borders_sheet(units: list[Unit]) -> Sheet:
    """Return the table of what was measured at borders."""
    rows = []
    for unit in units:
        for one in unit["rows"]:
            cells = [
                f"{told['value'] / level:.2f} ({told['low'] / level:.2f}–{told['high'] / level:.2f})"
                for way in ("learnt", "as_masked")
                for level, told in ((float(k), v) for k, v in one[way].items())
                if level >= 1e-3
            ]
            about = f"{unit['detector']}, from {_origin(unit['learnt_from'])}"
            energy = one["energy"]
            cells += [f"{energy['mean']:.2f} ({energy['variance']:.2f})", f"{energy['shift']:.2f}"]
            rows.append((about, f"{one['absent']}", f"{one['seeds']:,}", *cells))
    note = (
        "Share of good showers of the fast simulation with p ≤ α, over α. Learnt: as workers, `apply` "
        "and `evaluate` score, with what is expected without those cells, learnt from showers that "
        "the artefact keeps, that the model generates or that `CALODQM_CERTIFIED` names. As masked: "
        "what a worker would do had it learnt nothing. Energy: mean (variance) of the latent of the "
        "energy of good showers, in standard deviations, and by how much a gain lower by 10 % of the "
        "channel at the centre moves it."
    )
    levels = ("0.1", "0.01", "0.001")
    columns = (
        "detector", "cells absent", "seeds",
        *(f"learnt, {level}" for level in levels), *(f"as masked, {level}" for level in levels),
        "energy", "of gain −10 %",
    )  # fmt: skip
    return Sheet("p-values where the patch leaves the detector", columns, tuple(rows), note)


def _origin(text: str) -> str:
    return "simulated showers" if text.startswith("gflash:") else text
