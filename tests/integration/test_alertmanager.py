"""A real Alertmanager with our routes: one fault is one message, whatever the storm."""

import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest
import requests
import stack
from deployed import alerts
from waiting import wait_until


@pytest.fixture(scope="module")
def crew(tmp_path_factory):
    receiver = stack.Receiver()
    process, url = stack.alertmanager(tmp_path_factory.mktemp("crew"), receiver)
    yield url, receiver
    process.stop()
    receiver.stop()


def alert(detector, name, **labels):
    now = datetime.now(UTC)
    notes = {key: f"{key} of {name}" for key in ("summary", "description", "runbook_url")}
    severity = alerts()[name]["labels"]["severity"]
    return {
        "labels": {"alertname": name, "detector": detector, "severity": severity, **labels},
        "annotations": notes | {"dashboard_url": "http://grafana/d/x?from=now-1h&to=now"},
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(minutes=5)).isoformat(),
    }


def send(url, several):
    requests.post(f"{url}/api/v2/alerts", json=several, timeout=5).raise_for_status()


def page(detector, region):
    return of_region(detector, "CaloAlarmPage", region, "page")


def in_hand(detector, region, was="page"):
    return of_region(detector, "CaloAlarmInHand", region, was)


def of_region(detector, name, region, alarm):
    return alert(detector, name, region=region, place=region, level="region", alarm=alarm)


def of_sector(detector, name, sector, alarm):
    return alert(detector, name, sector=sector, place=sector, level="sector", alarm=alarm)


def second_line(detector, name, region):
    return alert(detector, name, region=region, sector=region[0], level="0.001")


def over(one):
    return one | {"endsAt": datetime.now(UTC).isoformat()}


def causes():
    return [
        *(alert("storm", "CaloAnomalyElevated", region=f"R{i}") for i in range(200)),
        *(page("many", f"R{i}") for i in range(20)),
        page("lines", "B2"),
        of_sector("sector", "CaloAlarmPage", "B", "page"),
        alert("detector", "CaloAlarmPage", place="calo", level="detector", alarm="page"),
        in_hand("held", "B2"),
        in_hand("held warning", "B2", was="warning"),
        of_region("warned", "CaloAlarmWarning", "B2", "warning"),
        of_sector("warned sector", "CaloAlarmWarning", "B", "warning"),
        alert("no workers", "CaloWorkersAbsent"),
        alert("absent", "CaloMonitorAbsent"),
    ]


def symptoms():
    return [
        alert("lines", "CaloAnomalySpike", region="B2"),
        alert("lines", "CaloAnomalySpike", region="C1"),
        *(second_line("sector", "CaloAnomalySpike", f"B{i}") for i in range(1, 5)),
        second_line("sector", "CaloAnomalyFlood", "D4"),
        second_line("sector", "CaloRegionSilent", "D3"),
        second_line("detector", "CaloAnomalyFlood", "D4"),
        *(second_line("held", f"CaloAnomaly{how}", "B2") for how in ("Flood", "Spike", "Elevated")),
        second_line("held", "CaloRegionSilent", "B2"),
        second_line("held", "CaloAnomalyFlood", "C1"),
        second_line("held warning", "CaloAnomalyFlood", "B2"),
        second_line("warned", "CaloAnomalyFlood", "B2"),
        second_line("warned", "CaloRegionSilent", "B2"),
        second_line("warned", "CaloAnomalyElevated", "B2"),
        second_line("warned sector", "CaloAnomalyFlood", "B2"),
        *(alert("no workers", name) for name in ("CaloNoData", "CaloDataStale", "CaloJudgeBehind")),
        *(alert("absent", name) for name in ("CaloJudgeDown", "CaloProcessDown", "CaloDataStale")),
        alert("silenced", "CaloAnomalySpike", region="B2"),
        alert("silenced", "CaloAnomalySpike", region="C1"),
        alert("budget", "CaloBudgetSpent"),
        alert("", "CaloWatchdog"),
    ]


@pytest.fixture(scope="module")
def night(crew):
    """Send a bad night, each case from a detector of its own, and wait until it is calm."""
    url, receiver = crew
    subprocess.run(
        [
            "amtool", f"--alertmanager.url={url}", "silence", "add", "alertname=CaloAnomalySpike",
            "region=B2", "detector=silenced", "--duration=1h", "--author=shift", "--comment=known",
        ],
        capture_output=True, timeout=20, check=True,
    )  # fmt: skip
    send(url, causes())
    time.sleep(0.5)
    send(url, symptoms())
    wait_until(lambda: receiver.mails)
    while len(receiver.posts) != (before := len(receiver.posts)) or not before:
        time.sleep(1)
    time.sleep(8)  # longer than a group_interval, in which nothing more may come
    return receiver


def calls(receiver, detector):
    """Return the alerts of each call to the phone about a detector, as (name, region)."""
    return [
        sorted((a["labels"]["alertname"], a["labels"].get("region", "")) for a in body["alerts"])
        for _, body in receiver.on("/phone")
        if body["groupLabels"]["detector"] == detector
    ]


def chats(receiver, detector):
    titles = [body["attachments"][0]["title"] for _, body in receiver.on("/chat")]
    return [title for title in titles if f"] {detector}:" in title]


def test_a_storm_of_two_hundred_regions_is_one_message(night):
    assert chats(night, "storm") == ["[WARNING] storm: 200 alerts CaloAnomalyElevated"]
    assert calls(night, "storm") == []


def test_pages_of_many_regions_are_one_call_and_one_chat_message(night):
    assert [len(call) for call in calls(night, "many")] == [20]
    assert chats(night, "many") == ["[PAGE] many: 20 alerts CaloAlarmPage"]


def test_the_first_line_keeps_the_second_quiet_for_its_region_only(night):
    assert {pair for call in calls(night, "lines") for pair in call} == {
        ("CaloAlarmPage", "B2"),
        ("CaloAnomalySpike", "C1"),
    }


def rung(night, detector):
    return {pair for call in calls(night, detector) for pair in call}


def test_an_alarm_of_a_sector_explains_its_own_regions_and_no_other(night):
    assert rung(night, "sector") == {
        ("CaloAlarmPage", ""),
        ("CaloAnomalyFlood", "D4"),
        ("CaloRegionSilent", "D3"),
    }


def test_an_alarm_of_the_detector_explains_all_its_regions(night):
    assert rung(night, "detector") == {("CaloAlarmPage", "")}


def test_what_an_alarm_in_hand_explains_stays_quiet(night):
    assert rung(night, "held") == {("CaloAnomalyFlood", "C1")}
    assert "[IN HAND] held: summary of CaloAlarmInHand" in chats(night, "held")
    assert not [title for title in chats(night, "held") if "Elevated" in title]


def test_a_warning_keeps_no_page_quiet(night):
    assert rung(night, "warned") == {("CaloAnomalyFlood", "B2"), ("CaloRegionSilent", "B2")}
    assert not [title for title in chats(night, "warned") if "Elevated" in title]
    assert rung(night, "held warning") == {("CaloAnomalyFlood", "B2")}
    assert rung(night, "warned sector") == {("CaloAnomalyFlood", "B2")}


def test_that_no_worker_scores_is_the_one_call(night):
    assert rung(night, "no workers") == {("CaloWorkersAbsent", "")}


def test_nobody_watching_is_the_only_message(night):
    assert calls(night, "absent") == [[("CaloMonitorAbsent", "")]]
    assert len(chats(night, "absent")) == 1


def test_a_silence_holds_for_its_region(night):
    assert calls(night, "silenced") == [[("CaloAnomalySpike", "C1")]]


def test_tickets_go_to_the_expert_by_mail_and_wake_nobody(night):
    [(_, mail)] = night.mails
    assert "Subject: [TICKET] budget: summary of CaloBudgetSpent" in mail
    assert "What to do: runbook_url of CaloBudgetSpent" in mail
    assert calls(night, "budget") == chats(night, "budget") == []


def test_the_dead_mans_switch_is_heard_on_its_own_line(night):
    assert night.on("/deadman")
    assert calls(night, "") == []


def test_what_is_over_is_called_off(crew, night):
    url, _ = crew
    send(url, [page("brief", "B2")])
    wait_until(lambda: calls(night, "brief"))
    send(url, [over(page("brief", "B2"))])
    wait_until(lambda: len(calls(night, "brief")) == 2)
    states = [b["status"] for _, b in night.on("/phone") if b["groupLabels"]["detector"] == "brief"]
    assert states == ["firing", "resolved"]
    assert wait_until(lambda: chats(night, "brief")[1:]) == [
        "[OVER] brief: summary of CaloAlarmPage"
    ]


def test_taking_a_page_in_hand_ends_the_call_and_the_chat_says_in_hand_until_it_is_over(
    crew, night
):
    url, _ = crew
    flood = second_line("taken", "CaloAnomalyFlood", "B2")
    send(url, [page("taken", "B2")])
    send(url, [flood])
    wait_until(lambda: calls(night, "taken"))
    send(url, [over(page("taken", "B2")), in_hand("taken", "B2"), flood])
    wait_until(lambda: len(chats(night, "taken")) == 2)
    wait_until(lambda: len(calls(night, "taken")) == 2)
    states = [b["status"] for _, b in night.on("/phone") if b["groupLabels"]["detector"] == "taken"]
    assert states == ["firing", "resolved"]
    assert rung(night, "taken") == {("CaloAlarmPage", "B2")}
    time.sleep(8)  # longer than a group_interval
    send(url, [over(in_hand("taken", "B2")), over(flood)])
    wait_until(lambda: len(chats(night, "taken")) == 3)
    assert chats(night, "taken") == [
        "[PAGE] taken: summary of CaloAlarmPage",
        "[IN HAND] taken: summary of CaloAlarmInHand",
        "[OVER] taken: summary of CaloAlarmInHand",
    ]
    assert rung(night, "taken") == {("CaloAlarmPage", "B2")}


def test_a_second_fault_at_a_place_in_hand_rings(crew, night):
    url, _ = crew
    send(url, [in_hand("again", "B2")])
    wait_until(lambda: chats(night, "again"))
    send(url, [over(in_hand("again", "B2")), page("again", "B2")])
    wait_until(lambda: calls(night, "again"))
    assert rung(night, "again") == {("CaloAlarmPage", "B2")}
    wait_until(lambda: chats(night, "again")[1:] == ["[PAGE] again: summary of CaloAlarmPage"])
