"""A service takes the topics of a release of the past over and counts on, with every model in force."""

import json
from datetime import UTC, datetime

import pytest
import released
from feeding import alarms, verdicts
from services import Services, newest_manifest
from waiting import wait_until

from consumers.app.embedded import EmbeddedBroker
from consumers.kafka.connection import Connection
from consumers.kafka.log import KafkaLog
from consumers.wire import ranges, topics
from consumers.wire.ranges import Range
from monitor.quality.alarms import State

PATIENCE_S = 120


def next_second(version):
    """Return a data-second that the release did not see, as people write it."""
    said = [
        ranges.header(r["value"]) for r in released.kept(version) if r["topic"] == topics.WINDOWS
    ]
    newest_ns = max(entry.watermark_ns for entry in said if isinstance(entry, Range))
    return datetime.fromtimestamp(newest_ns // 10**9 + 2, UTC).isoformat()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", sorted(path.name for path in released.RELEASES.iterdir()))
def test_a_service_counts_on_from_the_topics_of_a_release(version, tmp_path):
    with EmbeddedBroker() as broker:
        released.restore(broker.bootstrap, version)
        services = Services(broker.bootstrap, tmp_path, broker=broker)
        services.environment |= released.placed(released.RELEASES / version)
        try:
            goes_on(services, version)
        finally:
            services.end()


def goes_on(services, version):
    told = json.loads((released.RELEASES / version / "told.json").read_text())
    manifest = newest_manifest(services.bootstrap)
    before = alarms(services.bootstrap), verdicts(services.bootstrap)
    services.start("new", "run")
    services.wait_for("new", f"in office from offset {manifest.at}", PATIENCE_S)
    services.wait_for("new", "partitions: [0, 1]", PATIENCE_S)
    sent = services.simulate(
        "--rate", "60", "--seconds", "20", "--run-number", "2", "--fault", released.FAULT_GOES_ON,
        "--partitions", "2", "--data-time-start", next_second(version),
    )  # fmt: skip
    assert sent.wait(PATIENCE_S) == 0
    more = json.loads(services.log("simulate").splitlines()[-1])["showers"]

    def totals():
        return newest_manifest(services.bootstrap).totals["showers"]

    wait_until(
        lambda: totals() >= told["showers"] + more, PATIENCE_S, "the new showers to be judged"
    )
    assert totals() == told["showers"] + more
    assert newest_manifest(services.bootstrap).models == manifest.models
    log = KafkaLog(Connection(services.bootstrap))
    newest = [ranges.header(record.value) for record in log.read_all(topics.WINDOWS)][-1]
    log.close()
    assert (newest.model, newest.shadow) == manifest.models[1:]
    # What had been said stands; judgement began anew, so the fault is told by another name.
    wait_until(lambda: len(alarms(services.bootstrap)) > len(before[0]), PATIENCE_S, "the alarm")
    after = alarms(services.bootstrap)
    assert after[: len(before[0])] == before[0]
    assert after[len(before[0])].state is State.RAISED
    assert after[len(before[0])].id not in {alarm.id for alarm in before[0]}
    assert before[1].items() <= verdicts(services.bootstrap).items()
