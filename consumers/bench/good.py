"""Good data in the benchmark of the alarms: how often the crew is called for nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.bench import count_simulation, latent_simulation
from consumers.bench.plan import N_REF, PER_SECTOR, RATE, REGIONS, SECTORS, START
from consumers.bench.pools import load, source_of
from consumers.bench.resampling import window
from consumers.bench.rivals import NAMES, Rivals
from monitor.detector.tree import grid
from monitor.judging.monitor import Monitor
from monitor.quality.alarms import Alarm, Severity
from monitor.reference.expectation import of_reference
from monitor.sequential.budget import DAY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from consumers.bench.plan import Plan, Tell

BATCH_DAYS = 25
"""Days that are simulated side by side against one reference."""

SPREAD = 0.01
"""Relative spread of the tail probability from lumisection to lumisection."""

HOUR = 3600
POOL = 40_000
"""Showers, each with a mirror and noise of its own, from which a day is drawn."""


def false_pages(plan: Plan, tell: Tell, spread: float = 0.0) -> dict[str, Any]:
    """Return false alarms in simulated counts."""
    setting = count_simulation.Setting(SECTORS, PER_SECTOR, RATE, N_REF, spread=spread)
    found = count_simulation.false_pages(
        setting,
        plan.days,
        min(BATCH_DAYS, plan.days),
        plan.seed,
        lambda done: tell(f"{done} of {plan.days} days"),
    )
    return asdict(found) | {
        "pages_at_most_95": count_simulation.upper_limit(found.pages),
        "warnings_at_most_95": count_simulation.upper_limit(found.warnings),
        "budget": plan.days / setting.allowance.days_per_page,
        "regions": REGIONS,
        "rate_hz": RATE,
        "n_ref": N_REF,
        "spread": spread,
        "step_s": count_simulation.STEP_S,
    }


def spread_pages(plan: Plan, tell: Tell) -> dict[str, Any]:
    """Return the same where the background moves from lumisection to lumisection."""
    return false_pages(plan, tell, SPREAD)


def latents(plan: Plan, tell: Tell) -> dict[str, Any]:
    """Return how often simulated latents of good showers cross, by the evidence asked for."""
    setting = count_simulation.Setting(SECTORS, PER_SECTOR, RATE, N_REF)
    expectation = of_reference(load(plan.artefact).reference)
    # Cells are lit as often as in the artefact's reference.
    weight = expectation.latent_showers / expectation.latent_showers.sum()
    lit = weight @ expectation.lit_rate
    found = latent_simulation.latent_calibration(
        setting,
        expectation.latent_mean.shape[1],
        lit,
        plan.region_days,
        plan.seed,
        lambda done: tell(f"{done:.0f} of {plan.region_days:g} region-days"),
    )
    return asdict(found) | {
        "latents": expectation.latent_mean.shape[1],
        "cells": len(lit),
        "n_ref": N_REF,
        "step_s": latent_simulation.SECONDS,
    }


def resampled(plan: Plan, tell: Tell) -> dict[str, Any]:
    """Return false alarms in real showers against the artefact's own reference.

    Each data-second is so many independent draws, with replacement, from one pool of scored
    showers: the pool is the population that a day's stream comes from. It differs by chance from
    that of the reference, and the monitor has to bear with it for the whole day.
    """
    artefact = load(plan.artefact)
    source = source_of(artefact, plan.showers)
    judge = Monitor(grid("calo", SECTORS, PER_SECTOR), artefact.geometry, artefact.reference)
    rivals = Rivals(judge.places, judge.watch.references.certified)
    counted = _Crossings(judge.settings.allowance.page_at(judge.places))
    rng = np.random.default_rng([plan.seed, 3])
    parts = [(source.good(POOL, rng), np.full(REGIONS, RATE / REGIONS))]
    alarms: dict[str, Alarm] = {}
    seconds, showers = int(plan.hours * HOUR), 0
    for t in range(seconds):
        seen = window(rng, START + t, parts)
        showers += seen.n
        rivals.observe(seen)
        alarms |= {said.id: said for said in judge.observe(seen) if isinstance(said, Alarm)}
        counted.take(judge.watch.evidence.total())
        if t % HOUR == HOUR - 1:
            tell(f"{t // HOUR + 1} of {plan.hours:g} hours, {len(alarms)} alarms")
    pages = sum(alarm.severity is Severity.PAGE for alarm in alarms.values())
    return {
        "hours": seconds / HOUR,
        "showers": showers,
        "distinct_showers": source.showers.n,
        "images": POOL,
        "pages": pages,
        "warnings": len(alarms) - pages,
        "pages_at_most_95": count_simulation.upper_limit(pages),
        "alarms": [
            {"after_s": alarm.raised_ns / 1e9 - START, "test": alarm.test, "text": alarm.text}
            for alarm in alarms.values()
        ],
        "rivals_alarms": dict(zip(NAMES, rivals.alarms.tolist(), strict=True)),
        "reference": asdict(judge.view.reference()),
    } | counted.told(seconds)


class _Crossings:
    """How often the evidence of any place has risen to a size."""

    def __init__(self, page_at: NDArray[np.float64]) -> None:
        self._levels = np.array(latent_simulation.ONCE_IN_S)
        self._page_at = page_at
        self._above = np.zeros((len(self._levels), len(page_at)), bool)
        self._crossings = np.zeros(len(self._levels), np.int64)
        self._largest = 0.0

    def take(self, evidence: NDArray[np.float64]) -> None:
        now = evidence >= self._levels[:, None]
        self._crossings += (now & ~self._above).sum(1)
        self._above = now
        self._largest = max(self._largest, float((evidence / self._page_at).max()))

    def told(self, seconds: int) -> dict[str, Any]:
        place_seconds = seconds * len(self._page_at)
        return {
            "place_days": place_seconds / DAY,
            "largest_evidence": self._largest,
            "once_in_s": self._levels.tolist(),
            "crossings": self._crossings.tolist(),
            "allowed": (place_seconds / self._levels).tolist(),
        }
