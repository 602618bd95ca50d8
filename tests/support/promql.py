"""Check PromQL offline: it parses, and names only series and labels that somebody exports."""

import re

import promql_parser
from prometheus_client.parser import text_string_to_metric_families

TARGET_LABELS = {"job", "instance", "detector"}
ELSEWHERE = {
    "kafka_topic_partition_replicas": {"job", "instance", "topic", "partition"},
    "kafka_topic_partition_in_sync_replica": {"job", "instance", "topic", "partition"},
    "prometheus_rule_evaluation_failures_total": {"job", "instance", "rule_group"},
    "prometheus_notifications_errors_total": {"job", "instance", "alertmanager"},
    "prometheus_notifications_dropped_total": {"job", "instance"},
    "alertmanager_notifications_failed_total": {"job", "instance", "integration", "reason"},
}
"""What Prometheus, Alertmanager and kafka_exporter tell, by their documents."""

COUNTERS_LIVE_IN = {"rate", "increase", "irate", "resets", "changes"}


def filled(expression):
    """Return an expression with a dashboard's variables filled in."""
    expression = re.sub(r"\$__(rate_interval|interval|range)\b", "5m", expression)
    return re.sub(r"\$\{?\w+(:\w+)?\}?", ".*", expression)


def exported(text):
    """Return the labels of every sample of a scrape by name, and the counters among them."""
    labels, counters = {}, set()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels.setdefault(sample.name, set(TARGET_LABELS)).update(sample.labels)
            if family.type == "counter" or sample.name.endswith(("_bucket", "_sum", "_count")):
                counters.add(sample.name)
    return labels, counters


class Series:
    """What may be named: exported samples, recorded series, Prometheus' own."""

    def __init__(self, scrape, rules=()):
        self.labels, self.counters = exported(scrape)
        self.labels |= {"up": set(TARGET_LABELS), "ALERTS": None} | ELSEWHERE
        self.labels["process_resident_memory_bytes"] = set(TARGET_LABELS)
        for rule in rules:
            if "record" in rule:
                left = self._left(promql_parser.parse(rule["expr"]))
                self.labels[rule["record"]] = left | set(rule.get("labels", {}))

    def _left(self, node):
        """Return the labels that the series of an expression may have."""
        kind = type(node).__name__
        if kind == "VectorSelector":
            return set(self.labels[node.name] or ())
        if kind == "AggregateExpr" and str(node.op) != "topk":
            return set(node.modifier.labels) if node.modifier else set()
        if kind == "BinaryExpr":
            return self._joined(node)
        if kind == "Call" and node.func.name == "label_replace":
            return self._left(node.args[0]) | {node.args[1].val}
        parts = [getattr(node, name, None) for name in ("expr", "vector_selector")]
        parts = [*parts, *getattr(node, "args", [])] if kind == "Call" else parts
        return set().union(*(self._left(part) for part in parts if part is not None))

    def _joined(self, node):
        left, right = self._left(node.lhs), self._left(node.rhs)
        if str(node.op) == "or" or type(node.lhs).__name__ == "NumberLiteral":
            return left | right
        return left | set(getattr(node.modifier, "group_labels", None) or ())

    def faults(self, expression):
        """Return what is wrong with an expression, as lines."""
        try:
            tree = promql_parser.parse(filled(expression))
        except ValueError as error:
            return [f"does not parse: {str(error).splitlines()[0]}"]
        return [fault for node, above in walk(tree) for fault in self._node(node, above)]

    def _node(self, node, above):
        if type(node).__name__ != "VectorSelector":
            return
        if node.name not in self.labels:
            yield f"nobody exports {node.name}"
            return
        known = self.labels[node.name]
        for matcher in node.matchers.matchers:
            if known is not None and matcher.name not in known:
                yield f"{node.name} has no label {matcher.name}"
        calls = {n.func.name for n in above if type(n).__name__ == "Call"}
        if node.name in self.counters and not calls & COUNTERS_LIVE_IN:
            yield f"counter {node.name} outside of rate or increase"


def walk(node, above=()):
    """Yield every node of a syntax tree with those above it."""
    yield node, above
    for name in ("expr", "lhs", "rhs", "param", "vector_selector", "args"):
        child = getattr(node, name, None)
        for part in child if isinstance(child, list) else [child]:
            if part is not None:
                yield from walk(part, (*above, node))


def expressions(board):
    """Yield every expression of a dashboard, and where it stands."""
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for entry in board["annotations"]["list"]:
        if "expr" in entry:
            yield f"annotation {entry['name']}", entry["expr"]
    for variable in board["templating"]["list"]:
        found = re.fullmatch(r"label_values\((.+), \w+\)", variable.get("definition", ""))
        if found:
            yield f"variable {variable['name']}", f"rate({found[1]}[5m])"
