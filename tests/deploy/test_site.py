"""A site says where its pages are, how its targets are marked and what should be there; the rules follow."""

import subprocess
import sys
from dataclasses import replace

import pytest
from deployed import DEPLOY, SITE, Site, all_loaded, generate, loaded, rules
from promql import walk
from promql_parser import parse

from consumers.kafka import admin
from consumers.wire import topics
from monitor.display.rules.site import Expected

COMPOSE = loaded((DEPLOY / "compose.yaml").read_text())["services"]


def written(site):
    document = loaded(generate.rule_file(site))
    found = [rule for group in document["groups"] for rule in group["rules"]]
    return {rule.get("alert", rule.get("record")): rule for rule in found}


def links(site):
    notes = written(site)["CaloAlarmPage"]["annotations"]
    return notes["runbook_url"], notes["dashboard_url"].partition("/d/")[0]


def test_links_are_external_labels_unless_a_site_writes_them_in():
    assert links(Site()) == (
        "{{ $externalLabels.page_url }}/runbooks/CaloAlarmPage",
        "{{ $externalLabels.grafana_url }}",
    )
    told = Site(page_url="https://dqm.example.org/", grafana_url="https://g.example.org")
    assert links(told) == (
        "https://dqm.example.org/runbooks/CaloAlarmPage",
        "https://g.example.org",
    )


def test_another_selector_stands_in_every_rule_that_selects_targets():
    other = written(Site(selector='job="dqm",namespace="calo"'))
    assert 'up{job="dqm",namespace="calo"} == 0' in other["CaloProcessDown"]["expr"]
    assert not [name for name, rule in other.items() if 'job="calodqm"' in rule["expr"]]


def test_every_detector_is_expected_with_its_workers_and_judges():
    two = Site(detectors={"calo": Expected(4, 2), "hcal": Expected(1, 1)})
    document = loaded(generate.rule_file(two))
    told = {
        (rule["record"], rule["labels"]["detector"]): rule["expr"]
        for rule in document["groups"][0]["rules"]
        if rule.get("record", "").endswith(":expected")
    }
    assert told == {
        ("detector:calodqm_workers:expected", "calo"): "vector(4)",
        ("detector:calodqm_judges:expected", "calo"): "vector(2)",
        ("detector:calodqm_workers:expected", "hcal"): "vector(1)",
        ("detector:calodqm_judges:expected", "hcal"): "vector(1)",
    }


def test_what_is_expected_is_what_compose_file_and_manifests_start():
    [(name, expected)] = SITE.detectors.items()
    config = loaded((DEPLOY / "prometheus" / "prometheus.compose.yml").read_text())
    [relabelled] = config["scrape_configs"][0]["relabel_configs"]
    assert relabelled == {"target_label": "detector", "replacement": name}
    assert COMPOSE["score"]["deploy"]["replicas"] == expected.workers
    assert len([n for n in COMPOSE if n.startswith("judge")]) == expected.judges
    objects = [
        o
        for path in ("score.yaml", "judge.yaml")
        for o in all_loaded((DEPLOY / "kubernetes" / path).read_text())
    ]
    replicas = {
        o["metadata"]["name"]: o["spec"]["replicas"]
        for o in objects
        if "replicas" in o.get("spec", {})
    }
    assert replicas["score"] >= expected.workers
    assert replicas["judge"] == expected.judges


@pytest.mark.parametrize("text", ['pages = "x"\n[detectors.calo]', "[detectors.calo]\nworkers = 0"])
def test_a_site_with_a_mistake_is_refused(text, tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises((TypeError, ValueError)):
        Site.load(path)


def test_the_prometheus_rule_holds_the_very_same_rules():
    wrapped = loaded((DEPLOY / "kubernetes" / "rules.yaml").read_text())
    assert (wrapped["apiVersion"], wrapped["kind"]) == (
        "monitoring.coreos.com/v1",
        "PrometheusRule",
    )
    plain = loaded((DEPLOY / "prometheus" / "calodqm.rules.yml").read_text())
    assert wrapped["spec"] == plain


def test_no_alert_has_a_name_that_a_cluster_has_already():
    names = [rule["alert"] for rule in rules() if "alert" in rule]
    assert [name for name in names if not name.startswith("Calo")] == []


@pytest.mark.slow
def test_links_may_be_told_on_the_command_line(tmp_path):
    done = subprocess.run(
        [sys.executable, DEPLOY / "generate.py", "--check", "--page-url", "https://elsewhere"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    stale = [line.rsplit("/", 1)[1] for line in done.stderr.splitlines()]
    assert sorted(stale) == ["calodqm.rules.yml", "rules.yaml"]


def test_a_site_that_knows_its_disks_and_retention_is_called_before_they_matter():
    told = written(Site(kafka_disk="min(kafka_free)", showers_kept_h=12))
    assert told["CaloKafkaDisk"]["expr"] == "(min(kafka_free)) < 0.15"
    assert "> 21600 and" in told["CaloNearRetention"]["expr"]
    assert "CaloKafkaDisk" not in written(Site())


def test_showers_are_kept_for_as_long_as_the_rules_take_it():
    assert SITE.showers_kept_h == int(admin._CONFIGS[topics.SHOWERS]["retention.ms"]) / 3_600_000


BEAM = """
rule_files: [rules.yml]
evaluation_interval: 15s
group_eval_order: [calodqm.records, calodqm.hours, calodqm.day, calodqm.alerts]
tests:
  - interval: 15s
    input_series:
      - {series: 'calodqm_showers_scored_total{detector="calo",region="A1"}', values: '0+100x20 2000x80'}
      - {series: 'calodqm_showers_scored_total{detector="second",region="A1"}', values: '0+100x20 2000x80'}
      - {series: 'calodqm_showers_scored_total{detector="second",region="A2"}', values: '0+100x100'}
      - {series: 'beam_stable{ring="1"}', values: '1x20 0x40 1x40'}
    promql_expr_test:
      - {expr: 'ALERTS{severity="page",alertname=~"CaloNoData|CaloRegionSilent"}', eval_time: 14m, exp_samples: []}
      - expr: 'ALERTS{severity="page",alertstate="firing",alertname=~"CaloNoData|CaloRegionSilent"}'
        eval_time: 17m
        exp_samples:
          - {labels: 'ALERTS{alertname="CaloNoData",alertstate="firing",severity="page",detector="calo"}', value: 1}
          - {labels: 'ALERTS{alertname="CaloRegionSilent",alertstate="firing",severity="page",detector="second",region="A1"}', value: 1}
"""


@pytest.mark.services
def test_a_site_that_knows_its_beam_is_called_only_while_there_is_some(tmp_path):
    site = replace(SITE, beam="max(beam_stable) == 1")
    (tmp_path / "rules.yml").write_text(generate.rule_file(site))
    (tmp_path / "test.yml").write_text(BEAM)
    ran = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "test.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


def selectors(expression):
    return {n.name for n, _ in walk(parse(expression)) if type(n).__name__ == "VectorSelector"}


def test_every_series_that_is_recorded_is_read():
    boards = "".join(p.read_text() for p in (DEPLOY / "grafana" / "dashboards").glob("*.json"))
    read = set().union(*(selectors(rule["expr"]) for rule in rules()))
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert {name for name in recorded - read if name not in boards} == set()
