"""The Prometheus rules: fresh, clean, tested alert by alert, and the tests notice when one changes."""

import os
import re
import subprocess
from functools import cache

import pytest
import yaml
from deployed import DEPLOY, SITE, alerts, generate, loaded, rules
from promql import Series
from standings import expositions, standing

from consumers.http.page import RUNBOOKS

UNIT_TESTS = [
    DEPLOY / "prometheus" / name
    for name in ("calodqm.test.yml", "calodqm.long.test.yml", "calodqm.hours.test.yml")
]


def promtool(*arguments, **options):
    return subprocess.run(
        ["promtool", *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        **options,
    )


def test_what_is_generated_is_fresh():
    assert [str(p) for p, text in generate.outputs(SITE).items() if p.read_text() != text] == []


@pytest.mark.services
@pytest.mark.parametrize("scale", [1, 12, 60])
def test_promtool_accepts_the_rules_at_every_scale(scale, tmp_path):
    path = tmp_path / "rules.yml"
    path.write_text(generate.rule_file(SITE, scale))
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", str(path))
    assert checked.returncode == 0, checked.stderr


def test_a_scale_divides_every_duration_but_leaves_a_rate_its_scrapes():
    fast = loaded(generate.rule_file(SITE, 60))
    named = {r.get("alert", r.get("record")): r for g in fast["groups"] for r in g["rules"]}
    assert named["CaloRegionSilent"]["for"] == "1s"
    assert "[30s]" in named["region:calodqm_anomalous_showers:rate30m"]["expr"]
    assert "[4s]" in named["region:calodqm_anomalous_showers:rate20s"]["expr"]


@pytest.mark.services
@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_every_alert_fires_when_it_must_and_only_then(path):
    ran = promtool("test", "rules", str(path))
    assert ran.returncode == 0, ran.stdout + ran.stderr


MILLISECONDS = {"s": 1000, "m": 60_000, "h": 3_600_000}


def milliseconds(duration):
    return int(duration[:-1]) * MILLISECONDS[duration[-1]]


def resized(text, change):
    """Return rules whose every window is so many milliseconds longer."""
    return re.sub(r"\[(\d+[smh])\]", lambda w: f"[{milliseconds(w[1]) + change}ms]", text)


def test_every_window_holds_four_scrapes_so_that_one_more_or_less_decides_nothing():
    configuration = loaded((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    scrape = milliseconds(configuration["global"]["scrape_interval"])
    windows = {w for rule in rules() for w in re.findall(r"\[(\d+[smh])\]", rule["expr"])}
    assert min(map(milliseconds, windows)) >= 4 * scrape


@cache
def unit_tests():
    """Return the groups of unit tests by alert, with their evaluation interval."""
    found = {}
    for path in UNIT_TESTS:
        document = loaded(path.read_text())
        for group in document["tests"]:
            found.setdefault(group["name"], []).append((document["evaluation_interval"], group))
    return found


def test_every_alert_has_a_unit_test():
    assert set(unit_tests()) == set(alerts())


@pytest.mark.parametrize("name", sorted(alerts()))
def test_an_alert_tells_how_bad_what_to_do_and_where_to_look(name):
    alert = alerts()[name]
    notes = alert["annotations"]
    assert alert["labels"]["severity"] in {"page", "warning", "held", "ticket", "none"}
    assert set(notes) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert notes["runbook_url"].endswith(f"/runbooks/{name}")
    assert (RUNBOOKS / f"{name}.md").is_file()
    board = re.search(r"/d/([\w-]+)\?", notes["dashboard_url"])[1]
    assert (DEPLOY / "grafana" / "dashboards" / f"{board}.json").is_file()
    assert len(notes["summary"]) > 10
    assert len(notes["description"]) > 10


def test_rules_name_only_what_the_exporter_exports():
    exposition, _, judge = expositions()
    judge.standing(standing())
    series = Series(exposition.render()[0].decode(), rules())
    found = {
        rule.get("alert", rule.get("record")): faults
        for rule in rules()
        if (faults := series.faults(rule["expr"]))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("sum(rate(calodqm_showers_scored_total[5m])", "does not parse"),
        ("calodqm_showers_counted_total > 0", "nobody exports"),
        ('rate(calodqm_showers_scored_total{board="x"}[5m])', "no label board"),
        ("calodqm_showers_scored_total > 5", "outside of rate"),
        ("histogram_quantile(0.9, calodqm_anomaly_score_bucket)", "outside of rate"),
        ("topk(3, calodqm_lag)", "nobody exports calodqm_lag"),
    ],
)
def test_the_checker_sees_what_is_wrong_with_an_expression(expression, fault):
    exposition, *_ = expositions()
    assert fault in " ".join(Series(exposition.render()[0].decode()).faults(expression))


def mutants(rule):
    """Yield copies of an alert, each with one mistake that somebody could make."""
    for what, expression in _mistakes(rule["expr"]):
        yield what, rule | {"expr": expression}
    for key in ("for", "keep_firing_for"):
        if key in rule:
            yield f"no {key}", {k: v for k, v in rule.items() if k != key}
            yield f"{key} x 5", rule | {key: f"{5 * int(rule[key][:-1])}{rule[key][-1]}"}
    other = "page" if rule["labels"]["severity"] == "none" else "none"
    yield f"severity {other}", rule | {"labels": {"severity": other}}


def _mistakes(expression):
    """Yield changed thresholds, comparisons, windows and words of an expression."""
    for match in re.finditer(r"(>=|>|<) (\d+(?:\.\d+)?)(?![\w.]*\])", expression):
        value = float(match[2])
        flipped = "<" if ">" in match[1] else ">"
        changes = [f"{match[1]} {value * factor:g}" for factor in (0.5, 2.0) if value]
        for text in (*changes, f"{flipped} {match[2]}"):
            yield _changed(expression, match, text)
    for match in re.finditer(r"\[(\d+)([smh])\]", expression):
        yield _changed(expression, match, f"[{int(match[1]) * 6}{match[2]}]")
    for word, other in ((" unless ", " and "), (" or ", " and "), ("!=", "="), ("== 1", "== 0")):
        if word in expression:
            yield f"{word} -> {other}", expression.replace(word, other, 1)


def _changed(expression, match, text):
    changed = expression[: match.start()] + text + expression[match.end() :]
    return f"{match[0]} at {match.start()} -> {text}", changed


def alone(rule, folder):
    """Write an alert with the records that it needs, for the others only cost time, and its tests.

    Return the files of the tests.
    """
    groups = {"records": needed(rule["expr"]), "alert": [rule]}
    document = {"groups": [{"name": name, "rules": those} for name, those in groups.items()]}
    (folder / "rules.yml").write_text(yaml.safe_dump(document, width=10_000))
    paths = []
    for i, (interval, group) in enumerate(unit_tests()[rule["alert"]]):
        tests = {
            "rule_files": ["rules.yml"],
            "evaluation_interval": interval,
            "group_eval_order": list(groups),
            "tests": [group],
        }
        paths.append(folder / f"test{i}.yml")
        paths[-1].write_text(yaml.safe_dump(tests))
    return paths


def killed(rule, folder):
    """Return whether the unit tests of an alert notice that it is now `rule`."""
    return any(promtool("test", "rules", str(path)).returncode for path in alone(rule, folder))


def needed(expression):
    """Return the recording rules that an expression reads, and those that they read, in order."""
    recorded = {rule["record"]: rule for rule in rules() if "record" in rule}
    names, found = {expression}, set()
    while names:
        read = {n for text in names for n in re.findall(r"[a-z]+:[\w:]+", text)} & recorded.keys()
        names = {recorded[name]["expr"] for name in read - found}
        found |= read
    return [rule for name, rule in recorded.items() if name in found]


MUTANTS = [
    pytest.param(mutant, id=f"{name}: {what}")
    for name, rule in sorted(alerts().items())
    for what, mutant in mutants(rule)
]
# All of them take three minutes; every ninth is a different kind for most alerts.
CHOSEN = MUTANTS if os.environ.get("CALODQM_ALL_MUTANTS") else MUTANTS[::9]


@pytest.mark.services
@pytest.mark.parametrize("mutant", CHOSEN)
def test_the_unit_tests_notice_a_changed_rule(mutant, tmp_path):
    assert killed(mutant, tmp_path)


# Prometheus 2 counts a sample that lies exactly at the left edge of a window, Prometheus 3 does
# not. A millisecond more or less makes either of them the other.
@pytest.mark.services
@pytest.mark.parametrize("change", [-1, 1])
def test_no_alert_hangs_on_the_sample_at_the_left_edge_of_a_window(change, tmp_path):
    paths = []
    for name, rule in alerts().items():
        (folder := tmp_path / name).mkdir()
        paths += alone(rule, folder)
        rules_of_it = folder / "rules.yml"
        rules_of_it.write_text(resized(rules_of_it.read_text(), change))
    ran = promtool("test", "rules", *map(str, paths))
    assert ran.returncode == 0, ran.stdout + ran.stderr
