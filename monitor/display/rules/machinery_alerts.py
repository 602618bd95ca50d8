"""Alerts of the processes, and of the monitor's trust in itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.display.rules.alert import OPERATIONS, Rule, alert

if TYPE_CHECKING:
    from monitor.display.rules.site import Site

NEWEST = "max by (detector) (calodqm_last_shower_timestamp_seconds)"
ACTIVE = 'max by (detector) (calodqm_judge_state{calodqm_judge_state="active"}) == 1'
JUDGES = 'count by (detector) (calodqm_judge_state{calodqm_judge_state=~"active|standby"} == 1)'
WORKERS = 'count by (detector) (calodqm_worker_state{calodqm_worker_state=~"scoring|idle"} == 1)'

# Series that vanish compare with nothing: what should be there is named in site.toml, and whatever
# detector is seen at all is held to the same.
EXPECTED = "detector:calodqm_judges:expected"


def processes() -> list[Rule]:
    """Return what is wrong with the processes."""
    return [*_absent(), *_astray()]


def _absent() -> list[Rule]:
    """Return which processes are not there."""
    return [
        alert(
            "CaloMonitorAbsent", "page",
            f"""({EXPECTED} or on (detector) count by (detector) (up{{job="calodqm"}}))
               unless on (detector) count by (detector) (up{{job="calodqm"}} == 1)""",
            for_="1m",
            summary="{{ $labels.detector }}: no process of the monitor is up, nobody watches",
            description="Prometheus reaches none of them.", board=OPERATIONS,
        ),
        alert(
            "CaloWorkersAbsent", "page",
            f"""({EXPECTED} or on (detector) {ACTIVE}) unless on (detector) {WORKERS}""",
            for_="1m",
            summary="{{ $labels.detector }}: no worker scores, so nothing is counted or judged",
            description="What comes waits on Kafka, and is scored when a worker is there again.",
            board=OPERATIONS,
        ),
        alert(
            "CaloWorkersFew", "warning",
            f"{WORKERS} < on (detector) detector:calodqm_workers:expected", for_="5m",
            summary="{{ $labels.detector }}: {{ $value }} workers score, which is fewer than there "
            "should be",
            description="The others have taken over the partitions of those that are missing.",
            board=OPERATIONS,
        ),
        alert(
            "CaloJudgesFew", "warning",
            f"{JUDGES} < on (detector) detector:calodqm_judges:expected", for_="5m",
            summary="{{ $labels.detector }}: nobody would take over from the judge in office",
            description="There is one judge where two should be: its end would leave nobody.",
            board=OPERATIONS,
        ),
        alert(
            "CaloProcessDown", "warning", 'up{job="calodqm"} == 0', for_="1m",
            summary="{{ $labels.instance }} is not reached",
            description="Its partitions have moved to the other workers, or a stand-by judge has "
            "taken over. It should have been restarted by now.", board=OPERATIONS,
        ),
        alert(
            "CaloJudgeDown", "page",
            f"""({EXPECTED} or on (detector) count by (detector) (up{{job="calodqm"}} == 1))
               unless on (detector) {ACTIVE}""",
            for_="1m",
            summary="{{ $labels.detector }}: no judge is active, so no alarm can come from it",
            description="Workers go on counting. The burn-rate alerts still work.",
            board=OPERATIONS,
        ),
    ]  # fmt: skip


def _astray() -> list[Rule]:
    """Return which processes are there and do not do what they should."""
    return [
        alert(
            "CaloJudgeBehind", "page",
            f"""{NEWEST} - max by (detector) (calodqm_data_timestamp_seconds) > 60""",
            for_="1m",
            summary="{{ $labels.detector }}: the judge is {{ $value | humanizeDuration }} of data "
            "behind the workers",
            description="Its alarms come that late.", board=OPERATIONS,
        ),
        alert(
            "CaloTwoJudges", "warning",
            """sum by (detector) (calodqm_judge_state{calodqm_judge_state="active"}) > 1""",
            for_="1m",
            summary="{{ $labels.detector }}: {{ $value }} judges think that they are active",
            description="One should stand by. Verdicts stay right, alarms may come twice.",
            board=OPERATIONS,
        ),
        alert(
            "CaloModelMixed", "warning",
            "count by (detector) (count by (detector, sha256) (calodqm_model_info)) > 1",
            for_="10m",
            summary="{{ $labels.detector }}: {{ $value }} models score at once",
            description="A change of model got stuck half-way. Scores of two models are never "
            "compared, so half of the windows is refused.", board=OPERATIONS,
        ),
        alert(
            "CaloBrokerDenies", "page",
            "max by (detector, instance) (calodqm_broker_denials) > 0", for_="1m", keep="1m",
            summary="{{ $labels.instance }} is kept out: a certificate, password or token is denied",
            description="It had been let in. It tries again with the files as they are, for "
            "CALODQM_REFUSED_S, and then ends; /readyz says what is denied.", board=OPERATIONS,
        ),
        alert(
            "CaloWrongTokens", "warning",
            "sum by (detector) (increase(calodqm_page_tokens_refused_total[5m])) > 20",
            summary="{{ $labels.detector }}: {{ $value | humanize }} wrong tokens at the page",
            description="Somebody guesses, or a program has an old one. The judge's log has the "
            "address.", board=OPERATIONS,
        ),
    ]  # fmt: skip


def flow() -> list[Rule]:
    """Return what is wrong between the processes and the broker."""
    return [*_lost(), *_slow()]


def _lost() -> list[Rule]:
    """Return what had come and does not count."""
    return [
        alert(
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
        alert(
            "CaloRecordsLost", "page",
            """sum by (detector, reason) (increase(calodqm_records_lost_total[5m])) > 0""",
            keep="5m",
            summary="{{ $labels.detector }}: {{ $value | humanize }} records of showers are gone: "
            "{{ $labels.reason }}",
            description="Expired: retention took them before they were read. Cut: they had counted,"
            " and the topic lost them. The page says between when and when.", board=OPERATIONS,
        ),
        alert(
            "CaloRecordsUndigested", "warning",
            """sum by (detector, topic) (increase(calodqm_records_undigested_total[5m])) > 0""",
            keep="5m",
            summary="{{ $labels.topic }}: {{ $value | humanize }} records could not be taken",
            description="Each was passed over and is a dead letter: somebody writes to our topics "
            "who should not, or two versions do not understand each other.", board=OPERATIONS,
        ),
    ]  # fmt: skip


def _slow() -> list[Rule]:
    """Return what comes and goes too slowly."""
    return [
        alert(
            "CaloLagGrowing", "warning",
            """(sum by (detector, topic) (calodqm_consumer_lag_records) > 1000)
               and sum by (detector, topic) (deriv(calodqm_consumer_lag_records[10m])) >= 0""",
            for_="5m",
            summary="{{ $labels.topic }}: {{ $value | humanize }} records behind and not catching up",
            description="More comes than is scored, or a worker is stuck. Add workers, or end that one.", board=OPERATIONS,
        ),
        alert(
            "CaloScoringSlow", "warning",
            """histogram_quantile(0.99, sum by (detector, le)
                 (rate(calodqm_shower_age_seconds_bucket[5m]))) > 10""",
            for_="5m",
            summary="{{ $labels.detector }}: showers are scored up to "
            "{{ $value | humanizeDuration }} after they happened",
            description="The aim is 10 s for 99 % of the batches.", board=OPERATIONS,
        ),
        alert(
            "CaloPublishFailing", "warning",
            "sum by (detector) (increase(calodqm_publish_failures_total[5m])) >= 3",
            keep="5m",
            summary="{{ $labels.detector }}: the broker refuses windows",
            description="Workers try again and lose nothing, but they fall behind.",
            board=OPERATIONS,
        ),
    ]  # fmt: skip


def kafka(site: Site) -> list[Rule]:
    """Return what is wrong with Kafka itself, as far as somebody exports it."""
    half_h = site.showers_kept_h / 2
    waits = 'calodqm_consumer_lag_records{topic=~".*showers.*"}'
    disk = alert(
        "CaloKafkaDisk", "page", f"({site.kafka_disk}) < 0.15", for_="5m",
        summary="Kafka's disk has {{ $value | humanizePercentage }} left",
        description="A broker without room stops; what it cannot take is lost at the producers.",
        board=OPERATIONS,
    )  # fmt: skip
    return [
        alert(
            "CaloNearRetention", "page",
            f"""time() - calodqm_last_shower_timestamp_seconds > {half_h * 3600:g}
                and on (detector, instance)
                  sum by (detector, instance) ({waits}) > 0
                and on (detector, instance) calodqm_last_shower_timestamp_seconds > 0""",
            for_="5m",
            summary="{{ $labels.instance }}: what it scores has waited for "
            "{{ $value | humanizeDuration }}",
            description=f"Showers are kept for {site.showers_kept_h:g} h; what is older is gone "
            "unread. Add workers now, or have the topic kept for longer.", board=OPERATIONS,
        ),
        alert(
            "CaloReplicasMissing", "warning",
            """sum by (topic)
                 (kafka_topic_partition_replicas{topic=~".*calo[.].*"}
                  - kafka_topic_partition_in_sync_replica{topic=~".*calo[.].*"}) > 0""",
            for_="5m",
            summary="{{ $labels.topic }}: {{ $value }} copies are not in sync",
            description="The loss of one more broker may lose what was counted, or stop writing.",
            board=OPERATIONS,
        ),
        *([disk] if site.kafka_disk else []),
    ]  # fmt: skip


def trust() -> list[Rule]:
    """Return what is wrong with the monitor's own judgement."""
    return [
        alert(
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
        alert(
            "CaloSelfTestFailing", "warning",
            """(sum by (detector, fault) (increase(calodqm_selftest_found_total[6h]))
                 / (sum by (detector, fault) (increase(calodqm_selftest_injected_total[6h])) >= 5))
               < 0.8""",
            summary="{{ $labels.fault }}: only {{ $value | humanizePercentage }} of the injected "
            "faults were found",
            description="Known faults are injected into a copy of the stream and should be "
            "found. Real ones of this kind are missed too.", board=OPERATIONS,
        ),
    ]  # fmt: skip


def messages() -> list[Rule]:
    """Return what is wrong with the messages themselves."""
    return [
        alert(
            "CaloMessagesFailing", "warning",
            """sum by (integration) (increase(alertmanager_notifications_failed_total[5m])) > 0
               or sum by (alertmanager) (increase(prometheus_notifications_errors_total[5m])) > 0
               or sum by (instance) (increase(prometheus_notifications_dropped_total[5m])) > 0""",
            keep="5m",
            summary="{{ $value | humanize }} messages did not reach {{ with $labels.integration }}"
            "their {{ . }}{{ else }}Alertmanager{{ end }}",
            description="Whoever waits for a call may wait in vain: watch the page until this is "
            "over.", board=OPERATIONS,
        ),
        alert(
            "CaloRulesFailing", "warning",
            """sum by (rule_group)
                 (increase(prometheus_rule_evaluation_failures_total{rule_group=~".*calodqm.*"}[5m]))
               > 0""",
            keep="5m",
            summary="{{ $value | humanize }} evaluations of rules failed: {{ $labels.rule_group }}",
            description="Alerts of that group may be missing. Prometheus' log says why.",
            board=OPERATIONS,
        ),
        alert(
            "CaloWatchdog", "none", "vector(1)",
            summary="Always firing: when it stops coming, alerting itself is down",
            description="Its receiver calls when it does not hear this for a few minutes.",
            board=OPERATIONS,
        ),
    ]  # fmt: skip
