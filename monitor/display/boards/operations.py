"""Operations: what the operator looks at."""

from __future__ import annotations

from monitor.display.boards.frame import dashboard
from monitor.display.boards.panels import (
    BAD,
    GOOD,
    HERE,
    MEDIUM,
    Json,
    Layout,
    query,
    steps,
)


def operations() -> Json:
    """Return what the operator looks at."""
    layout = Layout()
    _state(layout)
    _speed(layout)
    _counts(layout)
    _doubts(layout)
    _in_force(layout)
    return dashboard(
        "operations", "Operations", "Throughput, lag, state, versions, budget.", layout
    )


def _state(layout: Layout) -> None:
    """Add, in single numbers, who is at work and how far behind."""
    layout.stat(
        "Processes up", 4, query(f'count(up{{job="calodqm",{HERE}}} == 1) or vector(0)'),
        text="Workers and judges that Prometheus reaches.", unit="none",
        thresholds=steps((None, BAD), (1, GOOD)),
    )  # fmt: skip
    layout.stat(
        "Active judges", 4,
        query(f'sum(calodqm_judge_state{{{HERE},calodqm_judge_state="active"}}) or vector(0)'),
        text="Exactly one.", unit="none", thresholds=steps((None, BAD), (1, GOOD), (2, MEDIUM)),
    )  # fmt: skip
    layout.stat(
        "Records behind", 4, query(f"sum(calodqm_consumer_lag_records{{{HERE}}})"),
        text="Over all partitions and topics.", unit="short",
        thresholds=steps((None, GOOD), (1000, MEDIUM), (10000, BAD)),
    )  # fmt: skip
    layout.stat(
        "Judge behind workers", 4,
        query(f"max(calodqm_last_shower_timestamp_seconds{{{HERE}}}) - max(calodqm_data_timestamp_seconds{{{HERE}}} > 0)"),
        text="In data time.", unit="s", thresholds=steps((None, GOOD), (15, MEDIUM), (60, BAD)),
    )  # fmt: skip
    layout.stat(
        "Pages raised", 4, query(f"max(calodqm_pages_spent{{{HERE}}})"),
        text="To be compared with the false pages allowed.", unit="none",
        options={"colorMode": "none"},
    )  # fmt: skip
    layout.stat(
        "False pages allowed", 4, query(f"max(calodqm_false_pages_allowed{{{HERE}}})"),
        text="By the time watched, at one in so many days.", unit="none", decimals=2,
        options={"colorMode": "none"},
    )  # fmt: skip


def _speed(layout: Layout) -> None:
    """Add how much is done, and how long it takes."""
    layout.lines(
        "Showers a second, by process", (12, 8),
        query(f"sum by (instance) (rate(calodqm_showers_scored_total{{{HERE}}}[1m]))", "{{instance}}"),
        text="How the work is shared.", unit="none", min=0, custom={"stacking": {"mode": "normal", "group": "A"}},
    )  # fmt: skip
    layout.lines(
        "Records behind, by partition", (12, 8),
        query(f"sum by (topic, partition) (calodqm_consumer_lag_records{{{HERE}}})", "{{topic}}/{{partition}}"),
        text="One that grows alone has a stuck worker; all together, too few workers.", min=0,
    )  # fmt: skip
    layout.lines(
        "Where the time goes, a batch", (12, 8),
        query(f"sum by (stage) (rate(calodqm_stage_seconds_sum{{{HERE}}}[1m])) / sum by (stage) (rate(calodqm_stage_seconds_count{{{HERE}}}[1m]))", "{{stage}}"),
        text="Mean seconds a batch.", unit="s", min=0,
    )  # fmt: skip
    layout.lines(
        "Age of showers when published", (12, 8),
        query(f"histogram_quantile(0.5, sum by (le) (rate(calodqm_shower_age_seconds_bucket{{{HERE}}}[5m])))", "half"),
        query(f"histogram_quantile(0.99, sum by (le) (rate(calodqm_shower_age_seconds_bucket{{{HERE}}}[5m])))", "99 %", "B"),
        text="From the time of a batch's newest shower.", unit="s", min=0,
    )  # fmt: skip


def _counts(layout: Layout) -> None:
    """Add what comes, what is refused, and what is left out."""
    layout.lines(
        "Showers in a batch", (8, 8),
        query(f"sum(rate(calodqm_batch_showers_sum{{{HERE}}}[1m])) / sum(rate(calodqm_batch_showers_count{{{HERE}}}[1m]))", "mean"),
        text="Batches grow under load: that is where the speed comes from.", unit="none", min=0,
    )  # fmt: skip
    layout.lines(
        "Records rejected, missing, not counted", (8, 8),
        query(f"sum by (reason) (rate(calodqm_records_rejected_total{{{HERE}}}[5m]))", "{{reason}}"),
        query(f"sum(rate(calodqm_blocks_missing_total{{{HERE}}}[5m]))", "missing", "B"),
        query(f"sum(rate(calodqm_records_uncounted_total{{{HERE}}}[5m]))", "not counted by their producer", "C"),
        text="Rejected ones are kept on calo.rejects.v1 with reason and coordinates. Of records that "
        "their producer does not count, a loss cannot be seen.", unit="none", min=0,
    )  # fmt: skip
    layout.lines(
        "Showers left out on purpose", (8, 8),
        query(f"sum by (reason) (rate(calodqm_showers_skipped_total{{{HERE}}}[5m]))", "{{reason}}"),
        text="Masked, late or shed.", unit="none", min=0,
    )  # fmt: skip
    layout.lines(
        "Ranges of windows", (8, 8),
        query(f"sum(rate(calodqm_ranges_accepted_total{{{HERE}}}[1m]))", "accepted"),
        query(f"sum by (reason) (rate(calodqm_ranges_refused_total{{{HERE}}}[1m]))", "refused: {{reason}}", "B"),
        query(f"sum(rate(calodqm_windows_late_total{{{HERE}}}[1m]))", "late windows", "C"),
        text="Fenced ranges are normal when partitions move; a gap is lost data.", unit="none", min=0,
    )  # fmt: skip


def _doubts(layout: Layout) -> None:
    """Add what nobody answers for, what is waited for, and what is tried again."""
    layout.lines(
        "Unknown, and astray", (8, 8),
        query(f"max(calodqm_partitions_unknown{{{HERE}}})", "partitions unknown"),
        query(f"max(calodqm_regions_unknown{{{HERE}}})", "regions unknown", "B"),
        query(f"max(calodqm_partitions_astray{{{HERE}}})", "partitions ahead of the rest", "C"),
        query(f"sum by (reason) (rate(calodqm_showers_stray_total{{{HERE}}}[5m]))", "stray showers: {{reason}}", "D"),
        text="What nobody answers for is unknown, never silent.", unit="none", min=0,
    )  # fmt: skip
    layout.lines(
        "Windows open, latency waited for", (8, 8),
        query(f"max(calodqm_windows_open{{{HERE}}})", "windows"),
        query(f"max(calodqm_latency_seconds{{{HERE}}})", "latency, s", "B"),
        query(f"max(calodqm_past_records{{{HERE}}})", "records of the past still to be judged", "C"),
        text="The latency is learnt from what is seen.", unit="none", min=0,
    )  # fmt: skip
    layout.lines(
        "For how long brokers have not answered", (8, 8),
        query(f"max by (topic, partition) (calodqm_consumer_lag_age_seconds{{{HERE}}})", "{{topic}} {{partition}}"),
        text="By partition; below a second where all is well.", unit="s", min=0,
    )  # fmt: skip
    layout.lines(
        "Partitions moved, windows not taken at once", (8, 8),
        query(f"sum by (instance) (increase(calodqm_rebalances_total{{{HERE}}}[5m]))", "{{instance}} rebalances"),
        query(f"sum by (instance) (increase(calodqm_publish_failures_total{{{HERE}}}[5m]))", "{{instance}} failures", "B"),
        text="Both are retried; both should be rare.", unit="none", min=0,
    )  # fmt: skip
    layout.lines(
        "Memory", (8, 8),
        query(f'process_resident_memory_bytes{{job="calodqm",{HERE}}}', "{{instance}}"),
        text="Flat after the first minutes.", unit="bytes", min=0,
    )  # fmt: skip


def _in_force(layout: Layout) -> None:
    """Add what scores, what it is measured against, and what fires."""
    facts(layout, "Models in force", (8, 7), f"count by (family, version, sha256) (calodqm_model_info{{{HERE}}})",
          "More than one for longer than a roll-out is an alert.", "processes")  # fmt: skip
    facts(layout, "Reference in force", (6, 7), f"count by (origin, id) (calodqm_reference_info{{{HERE}}})",
          "What good is measured against.", "judges")  # fmt: skip
    facts(layout, "Alerts firing", (10, 7),
          'max by (alertname, severity, place, region) (ALERTS{alertstate="firing",alertname=~"Calo.+"})',
          "As Prometheus sees them, before Alertmanager groups and inhibits.", "")  # fmt: skip


def facts(
    layout: Layout, title: str, size: tuple[int, int], expression: str, text: str, value: str
) -> None:
    """Add a table of labels; `value` is the name of the number beside them, empty for none."""
    hidden = {"Time": True} | ({} if value else {"Value": True})
    names = {"Value": value} if value else {}
    layout.add(
        "table", title, size, query(expression, form="table", now=True), text=text,
        options={"showHeader": True, "cellHeight": "sm"}, unit="string",
        transformations=[
            {
                "id": "organize",
                "options": {"excludeByName": hidden, "indexByName": {}, "renameByName": names},
            }
        ],
    )  # fmt: skip
