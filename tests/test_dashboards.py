"""The Grafana dashboards: what they ask for exists, and they keep the rules of a good dashboard."""

import json
import re

import pytest
from deployed import DEPLOY, rules
from promql import Series, expressions
from standings import expositions, standing

FILES = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
UNITS = {"short", "none", "s", "bytes", "percentunit", "dateTimeAsIso"}
PANELS = {"stat", "timeseries", "table", "state-timeline", "heatmap", "bargauge", "text"}


@pytest.fixture(scope="module")
def series():
    exposition, worker, judge = expositions()
    worker.model("flux", "5f" * 32, "1")
    judge.standing(standing(alarms=()))
    text = exposition.render()[0].decode()
    # These two exist while an alarm is open only.
    for name in ("calodqm_alarm_log10_odds", "calodqm_alarm_onset_timestamp_seconds"):
        text += f'{name}{{level="region",place="B2",severity="page",kind="hot"}} 1\n'
    return Series(text, rules())


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def board(request):
    return json.loads(request.param.read_text())


def test_there_are_the_four_that_people_need():
    names = [json.loads(path.read_text())["title"].partition(": ")[2] for path in FILES]
    assert sorted(names) == ["Detector", "Event display", "Operations", "Shift"]


def test_every_expression_asks_for_what_somebody_exports(board, series):
    found = {name: faults for name, e in expressions(board) if (faults := series.faults(e))}
    assert found == {}
    assert len(list(expressions(board))) > 5


def test_every_panel_says_what_it_shows_and_in_which_unit(board):
    for panel in board["panels"]:
        assert panel["type"] in PANELS
        assert panel["title"]
        assert panel["description"], panel["title"]
        if panel["type"] != "text":
            assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
            assert panel["targets"], panel["title"]


def test_every_query_goes_to_the_chosen_data_source(board):
    for panel in board["panels"]:
        for part in [panel, *panel.get("targets", [])]:
            if panel["type"] != "text":
                assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_panels_fill_the_grid_without_overlap(board):
    taken = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_variables_that_are_used_are_defined(board):
    text = json.dumps(board)
    defined = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", text)) - {"queryparam"}
    assert used <= defined
    assert {"datasource", "detector", "region", "page"} <= defined


def test_links_between_dashboards_lead_somewhere(board):
    there = {path.stem for path in FILES}
    linked = set(re.findall(r"/d/([\w-]+)", json.dumps(board)))
    assert linked <= there


def test_a_wall_dashboard_answers_from_afar():
    board = json.loads((DEPLOY / "grafana" / "dashboards" / "calodqm-shift.json").read_text())
    first = board["panels"][0]
    assert (first["type"], first["options"]["colorMode"]) == ("stat", "background")
    texts = json.dumps(first["fieldConfig"]["defaults"]["mappings"], ensure_ascii=False)
    assert "GOOD" in texts
    assert "BAD" in texts
    assert "NO JUDGE" in texts
    assert first["gridPos"]["y"] == 0
