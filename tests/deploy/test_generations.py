"""What Prometheus 3 and Alertmanager 0.27 changed, wherever it touches us; both must mean the same.

That ranges are open to the left is held by tests/deploy/test_rules.py.
"""

import json
import re

import pytest
from deployed import DEPLOY, loaded, rules
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from promql import expressions
from standings import expositions, standing

from monitor.detector.tree import grid

# What each asks for when it scrapes: 2.42 and 3.5, by their source.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


def scraped(accept):
    exposition, _, judge = expositions()
    judge.standing(standing())
    text, content_type = exposition.render(accept)
    return text.decode(), content_type


def samples():
    text, _ = scraped(PROMETHEUS_3)
    return [s for family in text_string_to_metric_families(text) for s in family.samples]


def every_expression():
    """Yield every expression that is deployed, and where it stands."""
    for rule in rules():
        yield rule.get("alert", rule.get("record")), rule["expr"]
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        yield from expressions(json.loads(path.read_text()))


@pytest.mark.parametrize("accept", [PROMETHEUS_2, PROMETHEUS_3])
def test_a_scrape_says_what_it_is_as_prometheus_3_requires(accept):
    text, content_type = scraped(accept)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")


def test_both_generations_are_told_the_same():
    older, newer = (
        [line for line in scraped(accept)[0].splitlines() if line.startswith("calodqm_")]
        for accept in (PROMETHEUS_2, PROMETHEUS_3)
    )
    assert older == newer


def test_every_name_is_one_that_needs_no_quotes():
    names = {s.name for s in samples()}
    labels = {label for s in samples() for label in s.labels}
    assert len(names) > 40
    assert [n for n in names if not re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", n)] == []
    assert [n for n in labels if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", n)] == []


def test_edges_of_histograms_are_written_as_prometheus_3_rewrites_them():
    edges = {s.labels[name] for s in samples() for name in ("le", "quantile") if name in s.labels}
    assert len(edges) > 5
    assert [e for e in edges if e != "+Inf" and e != str(float(e))] == []


@pytest.mark.parametrize(("where", "expression"), list(every_expression()))
def test_no_expression_uses_what_only_one_generation_has(where, expression):
    assert not re.search(r"\b(le|quantile)\s*[=!]", expression)  # le="1" has become le="1.0"
    for gone_or_new in ("holt_winters", "double_exponential_smoothing", "info(", "limitk", "mad_"):
        assert gone_or_new not in expression
    # A subquery as short as its step has one point fewer in Prometheus 3: none.
    for window, step in re.findall(r"\[(\d+)m:(\d+)s\]", expression):
        assert 60 * int(window) >= 4 * int(step)


def test_a_dot_in_a_matcher_meets_no_newline():
    """In Prometheus 3 it matches one, before it did not."""
    dotted = {
        label
        for _, expression in every_expression()
        for label, pattern in re.findall(r'(\w+)(?:=~|!~)"([^"]*)"', expression)
        if "." in pattern.replace("[.]", "")
    }
    # Names of rules and topics have none; Kafka and Prometheus see to it.
    assert dotted == {"alertname", "rule_group", "topic"}
    # What `$region` and `$detector` stand for, "All" among it:
    with pytest.raises(ValueError, match="one line"):
        grid("a\nb", sectors=1, regions_per_sector=1)


def test_external_labels_hold_nothing_that_prometheus_3_would_fill_in():
    for path in (DEPLOY / "prometheus").glob("prometheus*.yml"):
        labels = loaded(path.read_text())["global"]["external_labels"]
        assert not [value for value in labels.values() if "$" in value]


def matchers(node):
    """Yield every matcher of an Alertmanager configuration."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key.endswith("matchers"):
                yield from value
            else:
                yield from matchers(value)
    elif isinstance(node, list):
        for part in node:
            yield from matchers(part)


def test_matchers_of_alertmanager_read_the_same_in_its_old_and_its_new_language():
    config = loaded((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    found = list(matchers(config))
    assert len(found) > 10
    assert [m for m in found if not re.fullmatch(r'\w+(=|!=|=~|!~)"[^"\\]*"', m)] == []
