"""How long from a spike to a webhook and to a mail, at the fast scale: `pytest -m delays`."""

import statistics
import time

import pytest
import stack
from counting import Detector
from waiting import wait_until

pytestmark = pytest.mark.delays
SPIKES = 6


@pytest.fixture
def crew(tmp_path, monkeypatch):
    """A detector, Prometheus and Alertmanager; who is called by phone gets a mail too."""
    read = stack.yaml.safe_load

    def with_mail(text):
        config = read(text)
        for receiver in config.get("receivers", []) if isinstance(config, dict) else []:
            if receiver["name"] == "phone":
                receiver["email_configs"] = [{"to": "crew@localhost", "send_resolved": False}]
        return config

    monkeypatch.setattr(stack.yaml, "safe_load", with_mail)
    detector, receiver = Detector().start(), stack.Receiver()
    manager, manager_url = stack.alertmanager(tmp_path, receiver)
    prom, url = stack.prometheus(tmp_path, [f"127.0.0.1:{detector.server.port}"], manager_url)
    wait_until(lambda: stack.ask(url, "region:calodqm_anomaly_burn:ratio_rate5m"), 60)
    yield detector, receiver
    prom.stop()
    manager.stop()
    receiver.stop()
    detector.stop()


@pytest.mark.timeout(900)
def test_the_delays_of_six_spikes(crew, capsys):
    detector, receiver = crew
    delays = {"webhook": [], "mail": []}
    for region in ("A1", "A2", "B1", "B2", "C1", "C2")[:SPIKES]:
        began = time.monotonic()
        detector.strange[region] = 0.2

        def calls(status, since=began):
            return [t for t, b in receiver.on("/phone") if b["status"] == status and t > since]

        def mails(since=began):
            return [t for t, _ in receiver.mails if t > since]

        delays["webhook"].append(wait_until(lambda: calls("firing"), 60)[0] - began)
        delays["mail"].append(wait_until(mails, 60)[0] - began)
        detector.strange.clear()
        wait_until(lambda: calls("resolved"), 90)
        time.sleep(8)  # a group's interval, so that the next spike begins a message of its own
    with capsys.disabled():
        for way, seconds in delays.items():
            middle, text = statistics.median(seconds), [round(s, 1) for s in sorted(seconds)]
            print(f"\nspike to {way}: median {middle:.1f} s of {text}")
    assert statistics.median(delays["webhook"]) < 20
