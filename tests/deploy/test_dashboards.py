"""The Grafana dashboards: what they ask for exists, they keep our rules, and mistakes are noticed."""

import copy
import json
import re

import pytest
from deployed import DEPLOY, rules
from promql import Series, expressions
from standings import CARD, CHANNEL, CHANNELS, alarm, expositions, standing

from monitor.display.boards.panels import NULL
from monitor.display.rules.records import WALL

FILES = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
UNITS = {"short", "none", "s", "bytes", "percentunit", "dateTimeAsIso", "string", "time:HH:mm:ss"}
PANELS = {
    "stat",
    "timeseries",
    "table",
    "state-timeline",
    "status-history",
    "heatmap",
    "bargauge",
    "text",
}
FORMATS = {"time_series", "table", "heatmap"}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@pytest.fixture(scope="module")
def series():
    exposition, worker, judge = expositions()
    worker.model("flux", "5f" * 32, "1", CARD)
    judge.standing(
        standing(alarms=(alarm(channels=(CHANNEL,)),), channels=CHANNELS)
    )  # some series live as long as an alarm
    return Series(exposition.render()[0].decode(), rules())


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def board(request):
    return json.loads(request.param.read_text())


def faults(board, series):
    """Yield what is wrong with a dashboard, a line each."""
    for name, expression in expressions(board):
        yield from (f"{name}: {fault}" for fault in series.faults(expression))
    for panel in board["panels"]:
        yield from (f"panel {panel['title']!r}: {fault}" for fault in _panel_faults(panel))
    yield from _grid_faults(board)
    yield from _reference_faults(board)


def _panel_faults(panel):
    if panel["type"] not in PANELS:
        yield f"unknown type {panel['type']}"
    if not panel["title"] or not panel["description"]:
        yield "does not say what it shows"
    if "targets" in panel:
        yield from _query_faults(panel)
    elif panel["type"] != "text":
        yield "asks for nothing"


def _query_faults(panel):
    if panel["fieldConfig"]["defaults"].get("unit") not in UNITS:
        yield "no unit"
    if any(part.get("datasource") != SOURCE for part in (panel, *panel["targets"])):
        yield "not from the chosen data source"
    if any(target["format"] not in FORMATS for target in panel["targets"]):
        yield "a format that the data source does not have"
    refs = [target["refId"] for target in panel["targets"]]
    if not refs or len(set(refs)) != len(refs):
        yield "no query, or two of one name"


def _grid_faults(board):
    taken = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        columns, rows = range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
        cells = {(x, y) for x in columns for y in rows}
        if cells & taken or at["x"] + at["w"] > 24:
            yield f"{panel['title']} overlaps or sticks out"
        taken |= cells
    if len({panel["id"] for panel in board["panels"]}) < len(board["panels"]):
        yield "two panels of one id"


def _reference_faults(board):
    text = json.dumps(board)
    defined = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", text)) - {"queryparam"}
    yield from (f"variable {name} is not defined" for name in used - defined)
    there = {path.stem for path in FILES}
    yield from (f"no dashboard {uid}" for uid in set(re.findall(r"/d/([\w-]+)", text)) - there)


def test_there_are_the_four_that_people_need():
    names = [json.loads(path.read_text())["title"].partition(": ")[2] for path in FILES]
    assert sorted(names) == ["Detector", "Event display", "Operations", "Shift"]


def test_nothing_is_wrong_with_a_dashboard(board, series):
    assert list(faults(board, series)) == []
    assert len(list(expressions(board))) > 5


def mutants(board):
    """Yield copies of a dashboard, each with one mistake that somebody could make."""
    for i, panel in enumerate(board["panels"]):
        for what, change in CHANGES.items():
            changed = copy.deepcopy(board)
            if change(changed["panels"][i]) is not False:
                yield f"{panel['title']}: {what}", changed


def in_expression(pattern, other):
    def change(panel):
        for target in panel.get("targets", []):
            if re.search(pattern, target["expr"]):
                target["expr"] = re.sub(pattern, other, target["expr"], count=1)
                return True
        return False

    return change


def in_queries(change):
    return lambda panel: change(panel) if panel["type"] != "text" else False


CHANGES = {
    "series misspelt": in_expression(r"(calodqm_\w+?)(_|\b)", r"\1x\2"),
    "label misspelt": in_expression(r"region=~", "regoin=~"),
    "bracket lost": in_expression(r"\)", ""),
    "rate forgotten": in_expression(r"\b(rate|increase)\((\w+\{[^}]*\})\[[^]]*\]\)", r"\2"),
    "variable misspelt": in_expression(r"\$detector", "$detecter"),
    "unit forgotten": in_queries(lambda p: p["fieldConfig"]["defaults"].pop("unit")),
    "data source fixed": in_queries(lambda p: p["targets"][0].update(datasource={"uid": "abc"})),
    "description forgotten": lambda p: p.update(description=""),
    "type misspelt": lambda p: p.update(type="timeserie"),
    "moved onto another": lambda p: p["gridPos"].update(x=p["gridPos"]["x"] + 5),
    "format misspelt": in_queries(lambda p: p["targets"][0].update(format="timeseries")),
    "query copied": in_queries(lambda p: p["targets"].append(p["targets"][0])),
}


@pytest.mark.slow
def test_every_mistake_in_a_dashboard_is_noticed(board, series):
    made = list(mutants(board))
    missed = [name for name, changed in made if not list(faults(changed, series))]
    # The last panel of a row has room to its right: moved there it overlaps nothing.
    missed = [name for name in missed if not name.endswith("moved onto another")]
    assert len(made) > 30
    assert missed == []


def test_a_wall_dashboard_answers_from_afar():
    board = json.loads((DEPLOY / "grafana" / "dashboards" / "calodqm-shift.json").read_text())
    first = board["panels"][0]
    assert (first["type"], first["options"]["colorMode"]) == ("stat", "background")
    assert first["gridPos"]["y"] == 0


GREEN, AMBER, RED, GREY, DARK = "#00795a", "#f0a33a", "#c22f10", "#93a0ac", "#55606c"


def test_every_word_on_the_wall_has_its_colour_and_its_code():
    board = json.loads((DEPLOY / "grafana" / "dashboards" / "calodqm-shift.json").read_text())
    [by_code, special] = board["panels"][0]["fieldConfig"]["defaults"]["mappings"]
    told = [(o["text"], o["color"]) for o in by_code["options"].values()]
    assert list(by_code["options"]) == [str(code) for code in range(len(WALL))]
    assert dict(zip(WALL, told, strict=True)) == {
        "good": ("✓ GOOD", GREEN),
        "null": ("? NO DATA", GREY),
        "medium": ("! MEDIUM", AMBER),
        "bad": ("✕ BAD", RED),
        "in hand": ("IN HAND", DARK),
        "stale": ("? STALE", GREY),
        "no judge": ("? NO JUDGE", GREY),
        "no run": ("– NO RUN", GREY),
    }
    assert special["options"]["result"] == {"text": "? NO JUDGE", "color": GREY}


def test_big_numbers_are_of_now():
    boards = [json.loads(path.read_text()) for path in FILES]
    stats = [p for board in boards for p in board["panels"] if p["type"] == "stat"]
    assert len(stats) > 10
    for panel in stats:
        assert panel["options"]["reduceOptions"]["calcs"] == ["lastNotNull"]
        assert [(t["instant"], t["range"]) for t in panel["targets"]] == [(True, False)] * len(
            panel["targets"]
        )
        assert panel["fieldConfig"]["defaults"]["noValue"] in {"?", "? NO JUDGE", "–"}


def test_a_big_number_without_a_value_is_neither_green_nor_red():
    # Grafana gives it the colour of the panel where that is fixed, and the lowest one elsewhere.
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            if panel["type"] != "stat" or panel["options"]["colorMode"] == "none":
                continue
            defaults = panel["fieldConfig"]["defaults"]
            assert defaults.get("color", {"mode": "thresholds"}) == {"mode": "thresholds"}
            lowest = defaults["thresholds"]["steps"][0]["color"]
            assert lowest in {NULL, "transparent"}, panel["title"]
