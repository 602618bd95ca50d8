"""The drill: a fault in one of sixteen regions, and how long until the crew's phone rings.

Everything is real: broker, detector, worker, judge, page, Prometheus and Alertmanager at the fast
scale, and a telephone that takes webhooks.
"""

import contextlib
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
import stack
from services import Services
from waiting import wait_until

from consumers.app.embedded import EmbeddedBroker, free_port

pytestmark = pytest.mark.timed
GOOD_S = 20
"""Seconds of good data before the fault."""

FAULTS = {
    "hot": "hot:region=B2,cells=358,x=50,share=1",
    "gain": "gain:region=C3,x=0.05",
}
PLACE = {"hot": "B2", "gain": "C3"}


def state(page):
    return json.loads(stack.get(f"{page}/api/state"))["now"] or {}


def open_alarms(page):
    """Return the places of the open pages, as the metrics say."""
    lines = stack.get(f"{page}/metrics", "text/plain").splitlines()
    return {
        line.split('place="')[1].split('"')[0]
        for line in lines
        if line.startswith("calodqm_alarms_open{")
        and 'severity="page"' in line
        and float(line.rsplit(" ", 1)[1]) > 0
    }


def calls(receiver):
    return [
        (when, alert["labels"].get("place"))
        for when, body in receiver.on("/phone")
        for alert in body["alerts"]
        if alert["labels"]["alertname"] == "CaloAlarmPage" and alert["status"] == "firing"
    ]


@pytest.fixture
def service(tmp_path):
    """Start the whole chain; give the page's address, the receiver and what starts a detector."""
    with EmbeddedBroker() as broker, contextlib.ExitStack() as ends:
        services = Services(broker.bootstrap, tmp_path, broker=broker)
        ends.callback(services.end)
        port = free_port()
        services.environment["CALODQM_HTTP_PORT"] = str(port)
        services.start("run", "run")
        page = f"http://127.0.0.1:{port}"
        wait_until(lambda: stack.get(f"{page}/healthz"), 90)
        receiver = stack.Receiver()
        ends.callback(receiver.stop)
        manager, manager_url = stack.alertmanager(tmp_path, receiver)
        ends.callback(manager.stop)
        scraper, _ = stack.prometheus(tmp_path, [f"127.0.0.1:{port}"], manager_url)
        ends.callback(scraper.stop)
        yield page, receiver, services


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_rings_the_phone_and_names_the_region(kind, service, record_property):
    page, receiver, services = service
    begin = datetime.now(UTC) + timedelta(seconds=8)
    fault = f"{FAULTS[kind]}@{GOOD_S}+600"
    services.simulate(
        "--rate", "1000", "--data-time-start", begin.isoformat(), "--fault", fault
    )  # fmt: skip
    onset = time.monotonic() + (begin - datetime.now(UTC)).total_seconds() + GOOD_S

    def seen(condition):
        wait_until(condition, onset - time.monotonic() + 90, every=0.05)
        return round(time.monotonic() - onset, 1)

    delays = {"alarm": seen(lambda: state(page).get("alarms"))}
    delays["metrics"] = seen(lambda: PLACE[kind] in open_alarms(page))
    delays["webhook"] = seen(lambda: PLACE[kind] in {place for _, place in calls(receiver)})
    record_property("seconds from the fault to", delays)
    assert delays["alarm"] > 0
    assert open_alarms(page) == {PLACE[kind]}
    assert {place for _, place in calls(receiver)} == {PLACE[kind]}
