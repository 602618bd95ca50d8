"""Whatever is killed and restarted, every shower is counted once: real processes, real broker."""

import json

import pytest
from services import newest_manifest, on_a_broker, recount
from waiting import wait_until

from consumers.app.settings import ARTEFACT
from consumers.exactly_once import quality_log
from consumers.kafka.connection import Connection
from consumers.kafka.log import KafkaLog
from consumers.wire import topics
from consumers.wire.window_form import WindowForm
from models.scoring.artefact import Artefact
from models.scoring.p_values import BINS

SECONDS = 14
RATE = 1000
START_S = 180
"""Four processes start at once, beside whatever else the machine does."""


@pytest.fixture(scope="module")
def form():
    artefact = Artefact.load(ARTEFACT)
    shape = (artefact.reference.n_cells, len(artefact.score_names), BINS)
    return WindowForm(shape, artefact.geometry.n_cells, artefact.geometry.n_layers)


@pytest.fixture
def services(tmp_path):
    with on_a_broker(tmp_path) as started:
        yield started


def produced(services):
    return json.loads(services.log("simulate").splitlines()[-1])


def test_kills_of_workers_and_judges_lose_nothing_and_count_nothing_twice(services, form, kill):
    for name, job in (
        ("judge-a", "judge"),
        ("judge-b", "judge"),
        ("worker-a", "score"),
        ("worker-b", "score"),
    ):
        services.start(name, job)
    for name in ("worker-a", "worker-b"):
        services.wait_for(name, "partitions: [", START_S)
    wait_until(
        lambda: any("in office" in services.log(name) for name in ("judge-a", "judge-b")),
        START_S,
        "a judge in office",
    )
    simulate = services.simulate("--rate", str(RATE), "--seconds", str(SECONDS))
    wait_until(
        lambda: newest_manifest(services.bootstrap).totals.get("showers", 0) > 1000, 30, "data"
    )
    services.kill("worker-a")
    active, other = sorted(
        ("judge-a", "judge-b"), key=lambda name: "in office" not in services.log(name)
    )
    services.kill(active)
    services.start("worker-c", "score")
    services.pause_broker(3)
    assert simulate.wait(60) == 0
    sent = produced(services)
    wait_until(
        lambda: newest_manifest(services.bootstrap).totals.get("showers", 0) >= sent["showers"],
        60,
        "the judge to count all",
    )
    services.wait_for(
        "worker-c", "partitions: [", START_S
    )  # who has not begun yet cannot leave in order
    for name in ("worker-b", "worker-c", other):
        assert services.stop(name) == 0
    count = recount(services.bootstrap, form)
    assert count.showers == count.tallied == sent["showers"]
    assert count.overlaps == count.missing == 0
    assert count.opens > 4  # partitions did change hands
    assert newest_manifest(services.bootstrap).totals["showers"] == sent["showers"]
    said = published(services.bootstrap)
    assert len(said) == len(set(said))


def published(bootstrap):
    log = KafkaLog(Connection(bootstrap))
    try:
        said = quality_log.read(log.read_all(topics.QUALITY))
        return [quality_log.identity(record) for record in said]
    finally:
        log.close()
