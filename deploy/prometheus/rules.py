"""The recording and alerting rules, from one place for every time scale.

At scale 1 this is `calodqm.rules.yml`. A larger scale divides every duration, so that a test sees
minutes as seconds while it runs the very same expressions.
"""

from __future__ import annotations

import re
from typing import Any

Rule = dict[str, Any]

WINDOWS = ("20s", "1m", "5m", "30m", "1h", "6h")
SECONDS = {"s": 1, "m": 60, "h": 3600}

# Where an alert's links lead is the site's business: external_labels `page_url` and `grafana_url`.
PAGE = "{{ $externalLabels.page_url }}"
GRAFANA = "{{ $externalLabels.grafana_url }}"

# A fault of the cluster is none of the detector.
NO_ANSWER = "max by (detector) (calodqm_answer_age_seconds) > 5"

SHIFT = "calodqm-shift"
DETECTOR = "calodqm-detector"
OPERATIONS = "calodqm-operations"


def duration(text: str, scale: float, least_s: float = 0.0) -> str:
    """Return a Prometheus duration divided by the scale, not below `least_s`."""
    seconds = float(text[:-1]) * SECONDS[text[-1]] / scale
    milliseconds = round(max(seconds, least_s) * 1000)
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def document(scale: float = 1.0) -> dict[str, Any]:
    """Return the rule file."""
    groups = {"calodqm.records": _records(), "calodqm.alerts": _alerts()}
    return {
        "groups": [
            {
                "name": name,
                "interval": "5s" if scale == 1 else "1s",
                "rules": [_scaled(rule, scale) for rule in rules],
            }
            for name, rules in groups.items()
        ]
    }


def _scaled(rule: Rule, scale: float) -> Rule:
    if scale == 1:
        return rule
    # A rate needs at least two scrapes, and tests scrape every second.
    expression = re.sub(
        r"\[(\d+[smh])", lambda found: "[" + duration(found[1], scale, 4.0), rule["expr"]
    )
    waits = {key: duration(rule[key], scale) for key in ("for", "keep_firing_for") if key in rule}
    return rule | {"expr": expression} | waits


def _records() -> list[Rule]:
    rules = []
    for window in WINDOWS:
        for name in ("showers_scored", "anomalous_showers", "expected_anomalous_showers"):
            by = "detector, region" if name == "showers_scored" else "detector, region, level"
            rules.append(
                {
                    "record": f"region:calodqm_{name}:rate{window}",
                    "expr": f"sum by ({by}) (rate(calodqm_{name}_total[{window}]))",
                }
            )
        rules.append(
            {
                "record": f"region:calodqm_anomaly_burn:ratio_rate{window}",
                "expr": f"region:calodqm_anomalous_showers:rate{window}"
                f" / (region:calodqm_expected_anomalous_showers:rate{window} > 0)",
            }
        )
    return rules


def _alert(
    name: str,
    severity: str,
    expression: str,
    *,
    summary: str,
    description: str,
    board: str = SHIFT,
    **waits: str,
) -> Rule:
    """Return an alert; `waits` are `for_` and `keep`."""
    rule: Rule = {"alert": name, "expr": " ".join(expression.split())}
    if "for_" in waits:
        rule["for"] = waits["for_"]
    if "keep" in waits:
        rule["keep_firing_for"] = waits["keep"]
    where = "var-detector={{ $labels.detector }}&var-region={{ with $labels.region }}{{ . }}{{ else }}$__all{{ end }}"
    return rule | {
        "labels": {"severity": severity},
        "annotations": {
            "summary": summary,
            "description": description,
            "runbook_url": f"{PAGE}/runbooks/{name}",
            "dashboard_url": f"{GRAFANA}/d/{board}?{where}&from=now-1h&to=now",
        },
    }


def _judge(name: str, severity: str, what_to_do: str) -> Rule:
    evidence = (
        "{{ with printf \"calodqm_alarm_onset_timestamp_seconds{detector='%s',place='%s',"
        f"severity='{severity}'" + '}" $labels.detector $labels.place | query }}'
        "{{ with . | first }}: {{ .Labels.kind }} since {{ . | value | humanizeTimestamp }}{{ end }}{{ end }}"
    )
    return _alert(
        name,
        severity,
        f"""label_replace(max by (detector, level, place)
            (calodqm_alarms_open{{severity="{severity}",level="region"}}) > 0,
            "region", "$1", "place", "(.*)")
          or max by (detector, level, place)
            (calodqm_alarms_open{{severity="{severity}",level!="region"}}) > 0""",
        keep="1m",
        summary="{{ $labels.level }} {{ $labels.place }}" + evidence,
        description=f"The judge holds the false pages of the whole detector to a budget and says "
        f"that this is real. {what_to_do} The page of the judge has the evidence in words.",
    )


def _burn(long: str, short: str, times: float, least: int) -> str:
    strict = 'level="0.001"'
    return f"""(
        region:calodqm_anomaly_burn:ratio_rate{long}{{{strict}}} > {times:g}
        and region:calodqm_anomaly_burn:ratio_rate{short}{{{strict}}} > {times:g}
        and sum by (detector, region, level)
          (increase(calodqm_anomalous_showers_total{{{strict}}}[{long}])) >= {least}
      )"""


def _alerts() -> list[Rule]:
    return [*_first_line(), *_second_line(), *_data(), *_machinery(), *_trust()]


def _first_line() -> list[Rule]:
    """Return what the judge's sequential tests say."""
    return [
        _judge("CaloAlarmPage", "page", "Follow the runbook now."),
        _judge("CaloAlarmWarning", "warning", "Look within the hour."),
    ]


def _second_line() -> list[Rule]:
    """Return burn rates of the workers' own counters: they need no judge."""
    rate = (
        "{{ $labels.region }}: strange showers at {{ $value | humanize }} times the expected rate"
    )
    return [
        _alert(
            "CaloAnomalyFlood", "page", _burn("1m", "20s", 50, 20), keep="1m",
            summary=rate, board=DETECTOR,
            description="Over the last minute and the last 20 s. This line of defence works "
            "without the judge. Something broke all at once.",
        ),
        _alert(
            "CaloAnomalySpike", "page", _burn("5m", "1m", 10, 20), keep="2m",
            summary=rate, board=DETECTOR,
            description="Over the last five minutes and the last one. This line of defence works "
            "without the judge.",
        ),
        _alert(
            "CaloAnomalyElevated", "warning", _burn("1h", "5m", 3, 50), keep="10m",
            summary=rate + ", for an hour", board=DETECTOR,
            description="A steady excess that is too small to page.",
        ),
        _alert(
            "CaloAnomalyCreep", "ticket", _burn("6h", "30m", 1.5, 200), keep="30m",
            summary=rate + ", over six hours", board=DETECTOR,
            description="A slow rise: ageing, drifting conditions or a reference that no longer "
            "fits.",
        ),
        _alert(
            "CaloMonitorBlind", "warning",
            """(sum by (detector, region)
                (increase(calodqm_expected_anomalous_showers_total{level="0.001"}[30m])) > 25)
              and on (detector, region) sum by (detector, region)
                (increase(calodqm_anomalous_showers_total{level="0.001"}[30m])) == 0""",
            summary="{{ $labels.region }}: not one strange shower where "
            "{{ $value | humanize }} are expected", board=DETECTOR,
            description="A working monitor flags some good showers. The scores, the reference or "
            "the input of this region is broken, and a fault there would not be seen.",
        ),
    ]  # fmt: skip


def _data() -> list[Rule]:
    """Return what is wrong with the data on its way in."""
    return [
        _alert(
            "CaloNoData", "page",
            f"""sum by (detector) (rate(calodqm_showers_scored_total[2m])) == 0
                unless on (detector) {NO_ANSWER}""", for_="1m",
            summary="{{ $labels.detector }}: no showers at all",
            description="Workers are up, the brokers answer, and there is nothing. Between runs "
            "this is expected: silence it for the length of the break.",
        ),
        _alert(
            "CaloRegionSilent", "page",
            f"""(sum by (detector, region)
                 (rate(calodqm_showers_scored_total{{region!="other"}}[2m])) == 0)
               and (sum by (detector, region)
                 (increase(calodqm_showers_scored_total{{region!="other"}}[1h])) > 0)
               and on (detector)
                 (sum by (detector) (rate(calodqm_showers_scored_total[2m])) > 0)
               unless on (detector) {NO_ANSWER}""",
            for_="1m",
            summary="{{ $labels.region }}: silent while other regions have showers",
            description="It had showers within the last hour. Readout, high voltage or the "
            "producer of this region.",
        ),
        _alert(
            "CaloPartitionUnknown", "warning",
            "max by (detector) (calodqm_partitions_unknown) > 0", for_="15s", keep="1m",
            summary="{{ $labels.detector }}: nobody answers for {{ $value }} partitions: their "
            "regions are unknown",
            description="Their brokers or workers are away or hang. What comes on them is judged "
            "late; until then it is neither good nor silent.", board=OPERATIONS,
        ),
        _alert(
            "CaloWindowsLate", "warning",
            "sum by (detector) (rate(calodqm_windows_late_total[5m])) > 0.2", for_="2m",
            summary="{{ $labels.detector }}: {{ $value | humanize }} windows a second come too "
            "late to be judged in time",
            description="Some producers or partitions are further behind than is waited for. "
            "Verdicts are amended by them; the tests for silence do without.", board=OPERATIONS,
        ),
        _alert(
            "CaloShowersStray", "warning",
            "sum by (detector, reason) (increase(calodqm_showers_stray_total[5m])) > 0", keep="5m",
            summary="{{ $labels.detector }}: {{ $value | humanize }} showers contradict the rest: "
            "{{ $labels.reason }}",
            description="A producer has a wrong clock (ahead), or stale numbers (run, lumisection), "
            "or sends what is older than all verdicts that are kept (beyond). They are put where "
            "the others are.", board=OPERATIONS,
        ),
        _alert(
            "CaloSecondsForced", "warning",
            "sum by (detector) (increase(calodqm_seconds_forced_total[5m])) > 0", keep="5m",
            summary="{{ $labels.detector }}: {{ $value | humanize }} data-seconds were judged "
            "before all partitions had come",
            description="More windows are open than the judge may hold: partitions are very far "
            "apart. What comes later amends verdicts.", board=OPERATIONS,
        ),
        _alert(
            "CaloDataStale", "warning",
            """time() - max by (detector) (calodqm_last_shower_timestamp_seconds) > 120
               and on (detector)
                 max by (detector) (calodqm_last_shower_timestamp_seconds) > 0""",
            for_="1m",
            summary="{{ $labels.detector }}: newest scored shower is "
            "{{ $value | humanizeDuration }} old",
            description="Workers are behind, or the producer's clock is. What the page shows is "
            "that old.", board=OPERATIONS,
        ),
        _alert(
            "CaloRecordsRejected", "warning",
            """sum by (detector, reason) (rate(calodqm_records_rejected_total[5m]))
               / on (detector) group_left ()
                 sum by (detector) (rate(calodqm_records_consumed_total[5m])) > 0.01""",
            for_="2m",
            summary="{{ $value | humanizePercentage }} of the records are unusable: "
            "{{ $labels.reason }}",
            description="They are kept on calo.rejects.v1 with their coordinates; their showers "
            "are not judged.", board=OPERATIONS,
        ),
        _alert(
            "CaloBlocksMissing", "warning",
            "sum by (detector) (increase(calodqm_blocks_missing_total[5m])) > 0",
            keep="5m",
            summary="{{ $labels.detector }}: {{ $value | humanize }} blocks lost before Kafka",
            description="Producers number their blocks and some numbers never came.",
            board=OPERATIONS,
        ),
        _alert(
            "CaloShowersShed", "warning",
            """sum by (detector) (rate(calodqm_showers_skipped_total{reason="shed"}[5m])) > 0""",
            keep="5m",
            summary="{{ $labels.detector }}: {{ $value | humanize }} showers/s left out to keep up",
            description="Shedding is switched on and at work. Verdicts are marked; tests see fewer "
            "showers. Add workers.", board=OPERATIONS,
        ),
        _alert(
            "CaloScoresNotFinite", "warning",
            """sum by (detector, region) (rate(calodqm_showers_unscored_total[5m]))
               / (sum by (detector, region) (rate(calodqm_showers_unscored_total[5m]))
                + sum by (detector, region) (rate(calodqm_showers_scored_total[5m]))) > 0.001""",
            for_="1m",
            summary="{{ $labels.region }}: {{ $value | humanizePercentage }} of the showers have "
            "no finite score",
            description="The model cannot make sense of them, or it is damaged.", board=DETECTOR,
        ),
        _alert(
            "CaloShowersUnknown", "warning",
            """sum by (detector, region) (rate(calodqm_showers_unknown_total[5m]))
               / (sum by (detector, region) (rate(calodqm_showers_unknown_total[5m]))
                + sum by (detector, region) (rate(calodqm_showers_scored_total[5m]))) > 0.01""",
            for_="1m",
            summary="{{ $labels.region }}: {{ $value | humanizePercentage }} of the showers are "
            "outside of what the model knows",
            description="Their energies or conditions are others than those that it was trained "
            "on. They are neither good nor strange; where most are, verdicts are NULL.",
            board=DETECTOR,
        ),
    ]  # fmt: skip


def _machinery() -> list[Rule]:
    """Return what is wrong with the processes."""
    newest = "max by (detector) (calodqm_last_shower_timestamp_seconds)"
    return [
        _alert(
            "CaloMonitorAbsent", "page",
            """(count by (detector) (up{job="calodqm"})
                 unless on (detector) count by (detector) (up{job="calodqm"} == 1))
               or absent(up{job="calodqm"})""",
            for_="1m",
            summary="No process of the monitor is up: nobody watches the calorimeter",
            description="Prometheus reaches none of them.", board=OPERATIONS,
        ),
        _alert(
            "CaloProcessDown", "warning", 'up{job="calodqm"} == 0', for_="1m",
            summary="{{ $labels.instance }} is not reached",
            description="Its partitions have moved to the other workers, or a stand-by judge has "
            "taken over. It should have been restarted by now.", board=OPERATIONS,
        ),
        _alert(
            "CaloJudgeDown", "page",
            """count by (detector) (up{job="calodqm"} == 1)
               unless on (detector)
                 max by (detector) (calodqm_judge_state{calodqm_judge_state="active"}) == 1""",
            for_="1m",
            summary="{{ $labels.detector }}: no judge is active, so no alarm can come from it",
            description="Workers go on counting. The burn-rate alerts still work.",
            board=OPERATIONS,
        ),
        _alert(
            "CaloJudgeBehind", "page",
            f"""{newest} - max by (detector) (calodqm_data_timestamp_seconds) > 60""",
            for_="1m",
            summary="{{ $labels.detector }}: the judge is {{ $value | humanizeDuration }} of data "
            "behind the workers",
            description="Its alarms come that late.", board=OPERATIONS,
        ),
        _alert(
            "CaloTwoJudges", "warning",
            """sum by (detector) (calodqm_judge_state{calodqm_judge_state="active"}) > 1""",
            for_="1m",
            summary="{{ $labels.detector }}: {{ $value }} judges think that they are active",
            description="One should stand by. Verdicts stay right, alarms may come twice.",
            board=OPERATIONS,
        ),
        _alert(
            "CaloBrokerDenies", "page",
            "max by (detector, instance) (calodqm_broker_denials) > 0", for_="1m", keep="1m",
            summary="{{ $labels.instance }} is kept out: a certificate, password or token is denied",
            description="It had been let in. It tries again with the files as they are, for "
            "CALODQM_REFUSED_S, and then ends; /readyz says what is denied.", board=OPERATIONS,
        ),
        _alert(
            "CaloWrongTokens", "warning",
            "sum by (detector) (increase(calodqm_page_tokens_refused_total[5m])) > 20",
            summary="{{ $labels.detector }}: {{ $value | humanize }} wrong tokens at the page",
            description="Somebody guesses, or a program has an old one. The judge's log has the "
            "address.", board=OPERATIONS,
        ),
        _alert(
            "CaloRangesLost", "page",
            """sum by (detector, reason)
                 (increase(calodqm_ranges_refused_total{reason!="fenced"}[5m])) > 0
               or sum by (detector, reason)
                 (increase(calodqm_ranges_refused_total{reason="fenced"}[5m])) > 60""",
            keep="5m",
            summary="{{ $labels.detector }}: the judge refused {{ $value | humanize }} ranges "
            "of windows: {{ $labels.reason }}",
            description="Their showers were scored and are not in the verdicts. Fenced: another "
            "worker opened the same partition; a few are usual when partitions move.",
            board=OPERATIONS,
        ),
        _alert(
            "CaloRecordsLost", "page",
            """sum by (detector, reason) (increase(calodqm_records_lost_total[5m])) > 0""",
            keep="5m",
            summary="{{ $labels.detector }}: {{ $value | humanize }} records of showers are gone: "
            "{{ $labels.reason }}",
            description="Expired: retention took them before they were read. Cut: they had counted,"
            " and the topic lost them. The page says between when and when.", board=OPERATIONS,
        ),
        _alert(
            "CaloLagUnknown", "warning",
            """max by (detector, topic) (calodqm_consumer_lag_age_seconds) > 15""",
            for_="30s",
            summary="{{ $labels.topic }}: no broker says where it ends, for "
            "{{ $value | humanizeDuration }}",
            description="How much is waiting is unknown; so is whether a region is silent.",
            board=OPERATIONS,
        ),
        _alert(
            "CaloLagGrowing", "warning",
            """(sum by (detector, topic) (calodqm_consumer_lag_records) > 1000)
               and sum by (detector, topic) (deriv(calodqm_consumer_lag_records[10m])) > 0""",
            for_="5m",
            summary="{{ $labels.topic }}: {{ $value | humanize }} records behind and falling back",
            description="More comes than is scored. Add workers.", board=OPERATIONS,
        ),
        _alert(
            "CaloScoringSlow", "warning",
            """histogram_quantile(0.99, sum by (detector, le)
                 (rate(calodqm_shower_age_seconds_bucket[5m]))) > 10""",
            for_="5m",
            summary="{{ $labels.detector }}: showers are scored up to "
            "{{ $value | humanizeDuration }} after they happened",
            description="The aim is 10 s for 99 % of the batches.", board=OPERATIONS,
        ),
        _alert(
            "CaloPublishFailing", "warning",
            "sum by (detector) (increase(calodqm_publish_failures_total[5m])) >= 3",
            keep="5m",
            summary="{{ $labels.detector }}: the broker refuses windows",
            description="Workers try again and lose nothing, but they fall behind.",
            board=OPERATIONS,
        ),
    ]  # fmt: skip


def _trust() -> list[Rule]:
    """Return what is wrong with the monitor's own judgement."""
    return [
        _alert(
            "CaloModelMixed", "warning",
            "count by (detector) (count by (detector, sha256) (calodqm_model_info)) > 1",
            for_="10m",
            summary="{{ $labels.detector }}: {{ $value }} models score at once",
            description="A change of model got stuck half-way. Scores of two models are never "
            "compared, so half of the windows is refused.", board=OPERATIONS,
        ),
        _alert(
            "CaloBudgetSpent", "ticket",
            """max by (detector) (calodqm_pages_spent) > 3
               and on (detector) max by (detector) (calodqm_pages_spent)
                 > 5 * max by (detector) (calodqm_false_pages_allowed)""",
            for_="1h",
            summary="{{ $labels.detector }}: {{ $value }} pages, far more than the false pages "
            "that are allowed",
            description="Either the detector really is bad or the monitor cries wolf: compare the "
            "pages with what was found.", board=OPERATIONS,
        ),
        _alert(
            "CaloSelfTestFailing", "warning",
            """(sum by (detector, fault) (increase(calodqm_selftest_found_total[6h]))
                 / (sum by (detector, fault) (increase(calodqm_selftest_injected_total[6h])) >= 5))
               < 0.8""",
            summary="{{ $labels.fault }}: only {{ $value | humanizePercentage }} of the injected "
            "faults were found",
            description="Known faults are injected into a copy of the stream and should be "
            "found. Real ones of this kind are missed too.", board=OPERATIONS,
        ),
        _alert(
            "Watchdog", "none", "vector(1)",
            summary="Always firing: when it stops coming, alerting itself is down",
            description="Its receiver calls when it does not hear this for a few minutes.",
            board=OPERATIONS,
        ),
    ]  # fmt: skip
