"""Which alert keeps which quiet, as a table; and no rule of the configuration can go or change unnoticed.

The rules are read here as Alertmanager reads them; that it does is held with a real one, in
tests/integration/test_alertmanager.py.
"""

import copy
import re

import pytest
from deployed import alerts
from routing import CONFIG, matches

RULES = CONFIG["inhibit_rules"]


def quiet(rules, source, target):
    """Return whether a source keeps a target quiet."""
    return any(
        matches(rule["source_matchers"], source)
        and matches(rule["target_matchers"], target)
        and all(source.get(label, "") == target.get(label, "") for label in rule["equal"])
        # Two that could both be the cause of the other are neither.
        and not (
            matches(rule["source_matchers"], target) and matches(rule["target_matchers"], source)
        )
        for rule in rules
    )


def an(name, detector="calo", **labels):
    severity = alerts()[f"Calo{name}"]["labels"]["severity"]
    return {"alertname": f"Calo{name}", "detector": detector, "severity": severity, **labels}


def alarm(name, level, place, detector="calo", **labels):
    """Return what the judge says, as the rules label it."""
    labels = {"alarm": name.removeprefix("Alarm").lower()} | labels
    where = {} if level == "detector" else {level: place}
    return an(name, detector, level=level, place=place, **where, **labels)


def region(name, place, detector="calo"):
    """Return an alert of a region, with its sector, as the rules label it."""
    level = {"level": "0.001"} if "Anomaly" in name else {}
    return an(name, detector, region=place, sector=place[0], **level)


ANOMALIES = ("AnomalyFlood", "AnomalySpike", "AnomalyElevated", "AnomalyCreep")
PAGES = ("AnomalyFlood", "AnomalySpike", "RegionSilent")
MILD = ("AnomalyElevated", "AnomalyCreep")
PLACES = {"region": "B2", "sector": "B", "detector": "calo"}
ELSEWHERE = {"region": "B1", "sector": "D1"}


def table():
    """Yield (source, target, whether it is kept quiet)."""
    yield from _by_the_judge()
    yield from _by_a_sector_around()
    yield from _by_the_machinery()
    for i, strong in enumerate(ANOMALIES):
        for j, weak in enumerate(ANOMALIES):
            yield region(strong, "B2"), region(weak, "B2"), i < j
            yield region(strong, "B2"), region(weak, "B1"), False
            yield region(strong, "B2"), region(weak, "B2", "second"), False
        for other in ("RegionSilent", "ScoresNotFinite", "MonitorBlind"):
            yield region(strong, "B2"), region(other, "B2"), False


def _by_the_judge():
    loud = [("AlarmPage", {}), ("AlarmInHand", {"alarm": "page"})]
    mild = [("AlarmWarning", {}), ("AlarmInHand", {"alarm": "warning"})]
    for level, place in PLACES.items():
        for name, more in loud:
            source = alarm(name, level, place, **more)
            yield from ((source, region(a, "B2"), True) for a in (*PAGES, *MILD))
            yield source, region("ScoresNotFinite", "B2"), True
        for name, more in mild:
            source = alarm(name, level, place, **more)
            yield from ((source, region(a, "B2"), False) for a in PAGES)
            yield from ((source, region(a, "B2"), True) for a in MILD)
            yield source, region("ScoresNotFinite", "B2"), True
        for name, more in (*loud, *mild):
            source = alarm(name, level, place, **more)
            for a in (*PAGES, *MILD, "ScoresNotFinite"):
                yield source, region(a, "B2", "second"), False
                if level in ELSEWHERE:
                    yield source, region(a, ELSEWHERE[level]), False
                # One that does not say where it is is explained by the whole detector alone.
                yield source, an(a), level == "detector" and _speaks(source, an(a))
            for a in ("AlarmPage", "AlarmWarning", "AlarmInHand"):
                yield (
                    source,
                    alarm(a, level, place, **({"alarm": "page"} if "Hand" in a else {})),
                    False,
                )
            yield from (
                (source, an(a) | source_place(source), False)
                for a in ("JudgeDown", "BlocksMissing")
            )


def _by_a_sector_around():
    # B lies in a sector that has an alarm: as if it had one itself.
    for kind in ("page", "warning"):
        source = an("SectorExplained", level="sector", sector="B", alarm=kind)
        yield from ((source, region(a, "B2"), kind == "page") for a in PAGES)
        yield from ((source, region(a, "B2"), True) for a in (*MILD, "ScoresNotFinite"))
        for a in (*PAGES, *MILD, "ScoresNotFinite"):
            yield source, region(a, "D1"), False
            yield source, region(a, "B2", "second"), False
        yield source, alarm("AlarmPage", "sector", "B"), False


def _speaks(source, target):
    return source["alarm"] == "page" or target["severity"] != "page"


def source_place(source):
    return {label: source[label] for label in ("region", "sector") if label in source}


EXPLAINED = {
    "MonitorAbsent": {a[4:] for a in alerts()} - {"MonitorAbsent"},
    "WorkersAbsent": {
        "NoData", "NothingComes", "RegionSilent", "DataStale", "MonitorBlind", "JudgeBehind",
        "ProcessDown",
    },
    "NoData": {"NothingComes", "RegionSilent", "DataStale", "MonitorBlind", "JudgeBehind"},
    "NothingComes": {"DataStale", "MonitorBlind"},
    "JudgeDown": {"JudgeBehind", "JudgesFew"},
}  # fmt: skip


def _by_the_machinery():
    yield an("MonitorAbsent"), {"alertname": "NodeDown", "detector": "calo"}, False
    for cause, symptoms in EXPLAINED.items():
        for name in alerts():
            symptom = name.removeprefix("Calo")
            if symptom != cause:
                yield an(cause), an(symptom), symptom in symptoms
                yield an(cause), an(symptom, "second"), False


TABLE = list(table())


def wrong(rules):
    return [row for row in TABLE if quiet(rules, *row[:2]) != row[2]]


def test_each_alert_keeps_quiet_what_it_explains_and_nothing_else():
    assert wrong(RULES) == []


def mutants():
    """Yield configurations that each have one mistake."""
    for i, rule in enumerate(RULES):
        yield f"rule {i} gone", RULES[:i] + RULES[i + 1 :]
        for part in ("source_matchers", "target_matchers", "equal"):
            for k, entry in enumerate(rule[part]):
                changed = copy.deepcopy(RULES)
                del changed[i][part][k]
                yield f"rule {i} without {entry}", changed
        for part in ("source_matchers", "target_matchers"):
            for k, entry in enumerate(rule[part]):
                for name in re.findall(r"Calo\w+|(?<=[(|])\w+(?=[|)])", entry):
                    changed = copy.deepcopy(RULES)
                    changed[i][part][k] = entry.replace(name, name + "x")
                    yield f"rule {i}: {entry} misspelt at {name}", changed


@pytest.mark.parametrize("mutant", [pytest.param(m, id=what) for what, m in mutants()])
def test_every_mistake_in_what_keeps_what_quiet_is_noticed(mutant):
    assert wrong(mutant)
