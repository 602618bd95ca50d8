"""What we put into Grafana, against a stand-in that keeps Grafana's documented contract."""

import json

import pytest
from deployed import DEPLOY
from grafana_stub import TOKEN, Grafana
from standings import SECOND, alarm

from consumers.cli.command import main
from consumers.cli.commands import grafana as command
from monitor.display.grafana import Address, GrafanaError, GrafanaPublisher
from monitor.quality.acknowledgements import Acknowledgement
from monitor.quality.alarms import State


@pytest.fixture
def grafana():
    made = Grafana()
    yield made
    made.stop()


@pytest.fixture
def publisher(grafana):
    return GrafanaPublisher(Address(grafana.url, TOKEN))


def test_push_puts_everything_there_and_a_second_push_changes_nothing_but_versions(
    grafana, monkeypatch, capsys
):
    monkeypatch.setenv(command.TOKEN, TOKEN)
    words = ["grafana", "push", "--url", grafana.url, "--page", "http://wall:9108/", "--json"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["grafana"] == "13.3.0"
    assert len(said["dashboards"]) == 4
    assert set(grafana.boards) == {p.stem for p in (DEPLOY / "grafana" / "dashboards").iterdir()}
    assert {board["folder"] for board in grafana.boards.values()} == {"calodqm"}
    assert "http://wall:9108" in json.dumps(grafana.boards)
    assert command.PAGE not in json.dumps(grafana.boards)
    first = json.dumps(grafana.sources["calodqm-prometheus"]["jsonData"])
    assert main(words) == 0
    assert json.dumps(grafana.sources["calodqm-prometheus"]["jsonData"]) == first
    assert len(grafana.folders) == 1
    assert {board["version"] for board in grafana.boards.values()} == {2}


def test_what_people_set_on_the_data_source_stays(grafana, publisher):
    publisher.data_source("http://prometheus:9090")
    grafana.sources["calodqm-prometheus"]["jsonData"]["tlsSkipVerify"] = True
    grafana.sources["calodqm-prometheus"]["isDefault"] = True
    publisher.data_source("http://other:9090")
    source = grafana.sources["calodqm-prometheus"]
    assert source["url"] == "http://other:9090"
    assert source["jsonData"]["tlsSkipVerify"] is True
    assert source["isDefault"] is True
    assert not any(path.startswith("/api/datasources/1") for _, path in grafana.calls)


def test_an_alarm_is_one_annotation_from_onset_to_end_and_keeps_its_tags(grafana, publisher):
    publisher.alarm(alarm())
    publisher.alarm(alarm(version=2, state=State.UPDATED, text="more evidence"))
    publisher.alarm(alarm(version=3, state=State.CLEARED, now_ns=(SECOND + 60) * 10**9))
    [note] = grafana.notes.values()
    assert note["time"] == (SECOND - 41) * 1000
    assert note["timeEnd"] == (SECOND + 60) * 1000
    assert f"alarm:{alarm().id}" in note["tags"]
    assert "page" in note["tags"]
    assert note["dashboardUID"] == "calodqm-shift"


def test_alarms_do_not_touch_each_others_annotations(grafana, publisher):
    publisher.alarm(alarm("B2"))
    publisher.alarm(alarm("C1", id="C1&odd=id"))
    publisher.alarm(alarm("C1", id="C1&odd=id", version=2, text="changed"))
    assert ["changed" in note["text"] for note in grafana.notes.values()] == [False, True]


def test_a_grafana_that_ignores_filters_loses_nothing(grafana, publisher, monkeypatch):
    publisher.alarm(alarm("B2"))
    monkeypatch.setattr(
        "grafana_stub.parse_qs", lambda _: {}
    )  # every search now finds every annotation
    publisher.alarm(alarm("C1", id="other"))
    assert len(grafana.notes) == 2
    assert grafana.notes[1]["text"].startswith("B2")


def test_an_act_of_the_crew_is_annotated_once(grafana, publisher):
    act = Acknowledgement("B2-1", "Ada", "known cell", SECOND * 10**9)
    publisher.acknowledgement(act)
    publisher.acknowledgement(act)
    [note] = grafana.notes.values()
    assert note["text"] == "B2-1 in hand: known cell (Ada)"


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ((502, "<html>an error message from a proxy</html>"), "no JSON"),
        ((502, "<html>\nBad\ngateway</html>"), "Server Error 502"),
        ((200, "<html>log in</html>"), "no JSON"),
        ((403, {"message": "Permission denied"}), "Permission denied"),
        ((200, {"database": "failing"}), "database is 'failing'"),
    ],
)
def test_every_failure_is_one_clear_line(grafana, publisher, broken, words):
    grafana.broken = broken
    with pytest.raises(GrafanaError, match=words) as error:
        publisher.version()
    assert "\n" not in str(error.value)
    assert grafana.url in str(error.value)


def test_a_wrong_token_is_told(grafana):
    with pytest.raises(GrafanaError, match="Unauthorized"):
        GrafanaPublisher(Address(grafana.url, "glsa_wrong")).folder()


def test_nobody_there_is_told(grafana, publisher):
    grafana.stop()
    with pytest.raises(GrafanaError, match="nobody answers there"):
        publisher.version()


@pytest.mark.parametrize("url", ["grafana:3000", "ftp://grafana", "http://", ""])
def test_an_address_that_cannot_be_is_refused(url):
    with pytest.raises(GrafanaError, match="is not http"):
        GrafanaPublisher(Address(url, TOKEN))


def test_a_sub_path_is_kept(grafana):
    publisher = GrafanaPublisher(Address(f"{grafana.url}/grafana/", TOKEN))
    with pytest.raises(GrafanaError):
        publisher.version()
    assert grafana.calls[-1] == ("GET", "/grafana/api/health")


def test_without_a_token_the_command_says_what_to_do(monkeypatch, capsys):
    monkeypatch.delenv(command.TOKEN, raising=False)
    assert main(["grafana", "push"]) == 2
    assert "GRAFANA_TOKEN" in capsys.readouterr().err
