"""Standings of a monitor in the moods that the crew meets: good, alarmed, thin, replayed."""

from dataclasses import replace

import numpy as np

from models.scoring.scales import LEVELS, P_EDGES
from models.scoring.scored import Scored
from monitor.detector.tree import Level, grid
from monitor.display.latents import LatentMoments, ReferenceMoments
from monitor.display.metrics.denials import Denials
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics
from monitor.display.metrics.worker import WorkerMetrics
from monitor.display.standing import (
    Budget,
    History,
    RegionChannels,
    RegionNow,
    Spectrum,
    Standing,
)
from monitor.quality.alarms import (
    Alarm,
    CellShare,
    ChannelShare,
    Kind,
    ReferenceSummary,
    RegionShare,
    Severity,
    State,
    WorstShower,
)
from monitor.quality.quality import Quality
from monitor.quality.self_tests import SelfTestResult

DETECTOR = grid("calo", sectors=4, regions_per_sector=4)
SECOND = 1_795_000_000
REFERENCE = ReferenceSummary("certified-7c7425b", "certified", 17_500, "5f" * 32)


def alarm(place="B2", severity=Severity.PAGE, **changes):
    """Return an alarm as the judge writes it: a hot cell in one region."""
    region = next((r.id for r in DETECTOR.regions if r.name == place), 0)
    fields = {
        "id": f"{place}-exceedances-{SECOND - 41}",
        "version": 1,
        "state": State.RAISED,
        "severity": severity,
        "level": Level.REGION,
        "place": place,
        "test": "exceedances",
        "onset_ns": (SECOND - 41) * 10**9,
        "raised_ns": (SECOND - 36) * 10**9,
        "now_ns": SECOND * 10**9,
        "run": 456_789,
        "lumisection": 12,
        "showers": 2_562,
        "observed": 187.0,
        "expected": 25.7,
        "expected_sd": 1.1,
        "log10_odds": 14.2,
        "reference": REFERENCE,
        "kind": Kind.HOT,
        "kind_margin": 3.1,
        "regions": (RegionShare(region, place, 0.97),),
        "cells": (CellShare(354, "middle[5,6]", 0.91), CellShare(353, "middle[5,5]", 0.04)),
        "worst": tuple(
            WorstShower(
                2**53 + 4_211 + i, "calo.showers.v1", 3, 9_210 + i, 17 * i, region,
                10.0 ** -(6.5 - i / 2), (SECOND - 5 - i) * 10**9,
            )
            for i in range(4)
        ),
        "children": (),
        "summary": f"{place}: hot cell middle[5,6]",
        "text": (
            "187 strange showers of 2,562 where 25.7 ± 1.1 are expected "
            "(certified reference of 17,500). Odds against chance 10^14. "
            "Cell middle[5,6] carries 91 % of the excess."
        ),
        "runbook": "judge-alarm",
    }  # fmt: skip
    return Alarm(**(fields | changes))


def history(length=600, boost=0.0):
    """Return minutes of data at 1,000 showers/s; the last 40 s have `boost` times more anomalies."""
    rng = np.random.default_rng(5)
    showers = rng.poisson(1000, length)
    rate = np.full(length, 0.01)
    rate[-40:] *= 1 + boost
    return History(
        np.arange(SECOND - length + 1, SECOND + 1),
        showers,
        rng.poisson(showers * rate),
        showers * 0.01,
    )


def spectra(boost=0.0):
    """Return the combined p-value's spectrum over 60,000 showers."""
    rng = np.random.default_rng(6)
    expected = np.diff(P_EDGES) * 60_000
    tail = np.where(P_EDGES[1:] <= 0.01, 1 + boost, 1.0)
    return (Spectrum("combined", rng.poisson(expected * tail), expected),)


def latents(shift=0.0):
    """Return moments of 24 s of good data; in B2 the middle layer is off by `shift`."""
    rng = np.random.default_rng(8)
    mean, square = rng.normal(0, 0.005, (16, 5)), rng.normal(1.01, 0.01, (16, 5))
    at = next(i for i, region in enumerate(DETECTOR.regions) if region.name == "B2")
    mean[at, 1] += shift
    square[at, 1] += shift**2
    told = ReferenceMoments("certified", np.zeros(5), np.full(5, 1.01), 1.008)
    return LatentMoments(
        ("strips", "middle", "back", "response", "shares"),
        np.full(16, 1_500), mean, square, square.mean(1), (told,),
    )  # fmt: skip


CHANNEL = ChannelShare(7, "B2/8", 1.0)
CHANNELS = tuple(RegionChannels(r.name, 1700, 1600, 1, 2, 30.0) for r in DETECTOR.regions)
"""How the channels of each region stand, where a detector has some."""


def standing(**changes):
    """Return a monitor's standing on a good day."""
    board = tuple(
        RegionNow(r.id, r.name, r.sector, Quality.GOOD, "", 3_750, 36 + r.id % 5, 37.5, SECOND)
        for r in DETECTOR.regions
    )
    fields = {
        "detector": DETECTOR.name,
        "data_second": SECOND,
        "run": 456_789,
        "lumisection": 12,
        "board": board,
        "alarms": (),
        "cleared": (),
        "acknowledged": (),
        "history": history(),
        "budget": Budget(30.0, 3.2, 0),
        "reference": REFERENCE,
        "reference_distance": 0.004,
        "spectra": spectra(),
        "self_tests": (SelfTestResult("hot", 12, 12, 4.0), SelfTestResult("gain", 12, 11, 9.0)),
        "latents": latents(),
    }
    return Standing(**(fields | changes))


def with_quality(now, **qualities):
    """Return the standing with other verdicts: `with_quality(now, B2=Quality.BAD)`."""
    board = tuple(
        replace(row, quality=qualities[row.name], reason="see the alarm")
        if row.name in qualities
        else row
        for row in now.board
    )
    return replace(now, board=board)


def scored(n=10_000, seed=0, excess=0.0):
    """Return scores of good showers in two condition cells, `excess` of them strange."""
    rng = np.random.default_rng(seed)
    p = rng.random((n, 3))
    strange = rng.random(n) < excess
    p[strange] = 10.0 ** -rng.uniform(3, 7, (int(strange.sum()), 3))
    return Scored(
        scores=-np.log(p).astype(np.float32),
        p=p,
        p_combined=p[:, 0],
        latents=np.zeros((n, 4), np.float32),
        condition_cell=rng.integers(0, 2, n),
        valid=np.ones(n, bool),
        unknown=np.zeros(n, bool),
        bins=np.zeros((n, 3), np.int64),
    )


CARD = {
    "certified": {"latent_square": 1.0083},
    "held_out": {"latent_square": 1.0076, "exceedance": {"-1": {"0.01": 0.0145, "0.001": 0.002}}},
}
EXPECTED_RATE = np.tile(LEVELS, (2, 1))


def count(worker, batch, region, expected_rate, *, where, at):
    """Let a worker count a batch."""
    counts = worker.blank()
    counts.add(batch, region, expected_rate, where, at)
    worker.showers(counts)
    worker.batch(batch.n)


def expositions():
    """Return an exposition with a worker and a judge in it, both of which have seen data."""
    exposition = Exposition("0.1.0")
    exposition.expect(["calo.windows.v1"])
    worker = WorkerMetrics(exposition, DETECTOR, topic="calo.showers.v1")
    worker.lag(0, 0, 0.2)
    judge = JudgeMetrics(exposition, DETECTOR, topic="calo.windows.v1")
    Denials(exposition)
    judge.counted({})
    return exposition, worker, judge
