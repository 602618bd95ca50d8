"""Series: an exposition as values by name and labels, and one of a full service."""

import numpy as np
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from standings import (
    CARD,
    EXPECTED_RATE,
    SECOND,
    alarm,
    count,
    expositions,
    scored,
    standing,
    with_quality,
)

from monitor.display.metrics.judge import JudgeRole
from monitor.quality.quality import Quality
from monitor.quality.rejection import Rejection

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def where(index):
    return {"event": str(10**15 + index), "record": f"calo.showers.v1/3/{index}"}


def values(exposition):
    text, _ = exposition.render(OPEN_METRICS)
    return {
        (s.name, *sorted(s.labels.items())): s.value
        for family in text_string_to_metric_families(text.decode())
        for s in family.samples
    }


def filled(boost=0.0):
    exposition, worker, judge = expositions()
    worker.consumed(40)
    worker.rejected(Rejection.SCHEMA, 2)
    worker.assigned([0, 3])
    worker.lag(3, 7, 0.2)
    worker.model("flux", "5f" * 32, "3", CARD)
    batch = scored(excess=boost)
    region = np.random.default_rng(1).integers(0, 16, batch.n)
    count(worker, batch, region, EXPECTED_RATE, where=where, at=float(SECOND))
    worker.stage("score", 0.02)
    worker.published(SECOND * 10**9, 456_789, 12, SECOND + 1.5)
    judge.counted({"showers_judged": batch.n, "ranges_refused/fenced": 1, "alarms_raised/page": 1})
    judge.state(JudgeRole.ACTIVE)
    judge.standing(with_quality(standing(alarms=(alarm(),)), B2=Quality.BAD))
    return exposition, worker, judge, batch, region
