"""A real Prometheus scrapes the real exposition, and its rules see a spike, a silence and a death."""

import contextlib
import json
import time
import urllib.parse

import pytest
import stack
from counting import Detector
from deployed import DEPLOY
from promql import expressions, filled
from standings import alarm, standing
from waiting import wait_until

pytestmark = pytest.mark.timed


@pytest.fixture(scope="module")
def detector():
    made = Detector().start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def receiver():
    made = stack.Receiver()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def crew(detector, receiver, tmp_path_factory):
    """Prometheus and Alertmanager at work on the detector."""
    folder = tmp_path_factory.mktemp("crew")
    with contextlib.ExitStack() as ends:
        manager, manager_url = stack.alertmanager(folder, receiver)
        ends.callback(manager.stop)
        prom, url = stack.prometheus(folder, [f"127.0.0.1:{detector.server.port}"], manager_url)
        ends.callback(prom.stop)
        wait_until(lambda: stack.ask(url, 'up{job="calodqm"} == 1'))
        yield url, manager_url


def firing(url):
    return {labels["alertname"] for labels, _ in stack.ask(url, 'ALERTS{alertstate="firing"}')}


def test_rates_and_expectations_come_through_and_agree(crew, detector):
    url, _ = crew
    burn = 'avg(region:calodqm_anomaly_burn:ratio_rate5m{level="0.1"})'
    [(_, value)] = wait_until(lambda: stack.ask(url, f"{burn} > 0"))
    assert value == pytest.approx(1.0, abs=0.15)
    assert "CaloWatchdog" in wait_until(lambda: firing(url))


# No alarm is open, no fault is injected, nothing failed: these have nothing to show.
QUIET = (
    "alarm", "since when", "annotation", "Self-test", "firing", "Models", "rejected", "channels",
    "without a finite score B",
)  # fmt: skip


def unanswered(url):
    """Return the panels whose expression a live Prometheus has nothing to say to, but should."""
    return [
        f"{path.stem}: {name}"
        for path in (DEPLOY / "grafana" / "dashboards").glob("*.json")
        for name, expression in expressions(json.loads(path.read_text()))
        if not any(word in name for word in QUIET) and not stack.ask(url, filled(expression))
    ]


def test_every_expression_of_the_dashboards_is_answered(crew):
    url, _ = crew
    empty = ["all"]
    end = time.monotonic() + 20  # the first rates need a few scrapes
    while empty and time.monotonic() < end:
        empty = unanswered(url)
    assert empty == []


def test_exemplars_lead_back_to_showers(crew, detector):
    url, _ = crew
    query = urllib.parse.urlencode(
        {
            "query": "calodqm_anomalous_showers_total",
            "start": time.time() - 60,
            "end": time.time() + 5,
        }
    )

    def found():
        series = json.loads(stack.get(f"{url}/api/v1/query_exemplars?{query}"))["data"]
        return [e["labels"]["record"] for s in series for e in s["exemplars"]]

    assert wait_until(found)[0].startswith("calo.showers.v1/0/7/")


def test_a_spike_reaches_phone_and_chat_in_seconds_and_is_called_off(crew, detector, receiver):
    url, _ = crew
    wait_until(lambda: stack.ask(url, "region:calodqm_anomaly_burn:ratio_rate5m"))
    detector.strange["B2"] = 0.2
    began = time.monotonic()

    def called(status):
        """Return calls for strange showers; a machine that stands still for seconds has others."""
        return [
            (when, alert)
            for when, body in receiver.on("/phone")
            for alert in body["alerts"]
            if when > began
            and alert["status"] == status
            and alert["labels"]["alertname"] in {"CaloAnomalyFlood", "CaloAnomalySpike"}
        ]

    when, alert = wait_until(lambda: called("firing"), 30)[0]
    assert when - began < 20
    assert alert["labels"]["region"] == "B2"
    assert "page_url" not in alert["labels"]
    assert "B2: strange showers at" in alert["annotations"]["summary"]
    chats = wait_until(
        lambda: [
            text
            for t, body in receiver.on("/chat")
            if t > began and "strange showers" in (text := json.dumps(body))
        ]
    )
    text = chats[0]
    assert "[PAGE] calo: B2: strange showers at" in text
    assert "http://page/runbooks/CaloAnomaly" in text
    assert "var-region=B2&from=1" in text.replace("\\u0026", "&")  # an absolute time
    del detector.strange["B2"]
    assert wait_until(lambda: called("resolved"), 45)


@pytest.mark.usefixtures("crew")
def test_an_alarm_of_the_judge_is_sent_on_with_its_kind(detector, receiver):
    began = time.monotonic()
    detector.standing = standing(alarms=(alarm("C3"),))
    bodies = wait_until(
        lambda: [
            b
            for t, b in receiver.on("/phone")
            if t > began and any(a["labels"]["alertname"] == "CaloAlarmPage" for a in b["alerts"])
        ],
        20,
    )
    alerts = [a for a in bodies[0]["alerts"] if a["labels"]["alertname"] == "CaloAlarmPage"]
    assert alerts[0]["annotations"]["summary"].startswith("region C3: hot since 20")
    assert alerts[0]["labels"]["region"] == "C3"
    detector.standing = standing()


def test_a_silent_region_is_told_apart_from_no_data(crew, detector, receiver):
    url, _ = crew
    detector.silent.add("D4")
    wait_until(lambda: "CaloRegionSilent" in firing(url), 30)
    assert "CaloNoData" not in firing(url)
    [(labels, _)] = stack.ask(url, 'ALERTS{alertname="CaloRegionSilent",alertstate="firing"}')
    assert labels["region"] == "D4"
    detector.silent.clear()
