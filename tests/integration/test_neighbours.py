"""Two services on one cluster, each with topics of its own."""

import json

import pytest
from services import Services
from waiting import wait_until

from consumers.app.embedded import EmbeddedBroker
from consumers.exactly_once.snapshots import Snapshots
from consumers.kafka.connection import Connection
from consumers.kafka.log import KafkaLog

PREFIXES = ("ecal.", "hcal.")


@pytest.fixture
def neighbours(tmp_path):
    with EmbeddedBroker() as broker:
        made = []
        for prefix in PREFIXES:
            folder = tmp_path / prefix
            folder.mkdir()
            made.append(Services(broker.bootstrap, folder, environment={"CALODQM_PREFIX": prefix}))
        yield made
        for services in made:
            services.end()


def judged(services):
    prefix = services.environment["CALODQM_PREFIX"]
    log = KafkaLog(Connection(services.bootstrap, prefix=prefix))
    try:
        return Snapshots(log).newest().totals.get("showers", 0)
    finally:
        log.close()


@pytest.mark.services
def test_two_services_on_one_cluster_count_their_own_showers_each(neighbours):
    sent = []
    for services, seconds in zip(neighbours, (4, 6), strict=True):
        services.start("run", "run")
        services.wait_for("run", "in office")
        child = services.simulate("--rate", "300", "--seconds", str(seconds))
        assert child.wait(120) == 0
        told = [line for line in services.log("simulate").splitlines() if line.startswith("{")]
        sent.append(json.loads(told[-1])["showers"])
    for services, n in zip(neighbours, sent, strict=True):
        wait_until(lambda s=services, n=n: judged(s) == n, 60, f"{n} showers to be judged")
        assert services.stop("run") == 0
        assert "is in use" not in services.log("run")
    assert sent[0] != sent[1]
