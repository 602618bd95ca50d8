"""Alerts of the data on their way in."""

from __future__ import annotations

from monitor.display.rules.alert import DETECTOR, NO_ANSWER, OPERATIONS, Rule, alert
from monitor.display.rules.detector_alerts import silent_region


def _run_is(states: str) -> str:
    return f'max by (detector) (calodqm_run_state{{calodqm_run_state=~"{states}"}}) == 1'


BETWEEN, RUN_ON, SAID = _run_is("between"), _run_is("on"), _run_is("on|between")
NOTHING = "sum by (detector) (region:calodqm_showers_seen:rate2m) == 0"


def data(beam: str) -> list[Rule]:
    """Return what is wrong with the data on its way in; `beam` is a site's own condition."""
    condition = f" and on () ({beam})" if beam else ""
    return [*_silence(condition, known=bool(beam)), *_clocks(), *_records()]


def _silence(beam: str, *, known: bool) -> list[Rule]:
    # A site that says when there is beam need not say when there is a run.
    run_on = f"unless on (detector) {BETWEEN}" if known else f"and on (detector) {RUN_ON}"
    return [
        alert(
            "CaloNoData", "page",
            f"{NOTHING}{beam} {run_on} unless on (detector) {NO_ANSWER}", for_="1m",
            summary="{{ $labels.detector }}: no showers at all, in the middle of a run",
            description="Workers are up, the brokers answer, there should be showers, and there "
            "is nothing.",
        ),
        alert(
            "CaloNothingComes", "warning",
            f"{NOTHING}{beam} unless on (detector) {SAID} unless on (detector) {NO_ANSWER}",
            for_="10m",
            summary="{{ $labels.detector }}: no showers for twelve minutes",
            description="Whether there should be any nobody says: beginnings and ends of runs on "
            "calo.runs.v1 would make a page of it, or nothing.",
        ),
        silent_region(beam),
        alert(
            "CaloPartitionUnknown", "warning",
            # A judge that is cut off as well hears of no partition: whoever reads says so then.
            """max by (detector) (calodqm_partitions_unknown) > 0
               or count by (detector) (calodqm_consumer_lag_age_seconds > 15)""",
            for_="15s", keep="1m",
            summary="{{ $labels.detector }}: nobody answers for {{ $value }} partitions",
            description="Their brokers or workers are away or hang. How much is waiting there is "
            "unknown, and so are the regions: judged late, and until then neither good nor silent.",
            board=OPERATIONS,
        ),
    ]  # fmt: skip


def _clocks() -> list[Rule]:
    """Return what does not come in its time."""
    return [
        alert(
            "CaloWindowsLate", "warning",
            "sum by (detector) (rate(calodqm_windows_late_total[5m])) > 0.2", for_="2m",
            summary="{{ $labels.detector }}: {{ $value | humanize }} windows a second come too "
            "late to be judged in time",
            description="Some producers or partitions are further behind than is waited for. "
            "Verdicts are amended by them; the tests for silence do without.", board=OPERATIONS,
        ),
        alert(
            "CaloShowersStray", "warning",
            "sum by (detector, reason) (increase(calodqm_showers_stray_total[5m])) > 0", keep="5m",
            summary="{{ $labels.detector }}: {{ $value | humanize }} showers contradict the rest: "
            "{{ $labels.reason }}",
            description="A producer has a wrong clock (ahead), or stale numbers (run, lumisection), "
            "or sends what is older than all verdicts that are kept (beyond). They are put where "
            "the others are.", board=OPERATIONS,
        ),
        alert(
            "CaloSecondsForced", "warning",
            "sum by (detector) (increase(calodqm_seconds_forced_total[5m])) > 0", keep="5m",
            summary="{{ $labels.detector }}: {{ $value | humanize }} data-seconds were judged "
            "before all partitions had come",
            description="More windows are open than the judge may hold: partitions are very far "
            "apart. What comes later amends verdicts.", board=OPERATIONS,
        ),
        alert(
            "CaloDataStale", "warning",
            """time() - max by (detector) (calodqm_last_shower_timestamp_seconds) > 120
               and on (detector)
                 max by (detector) (calodqm_last_shower_timestamp_seconds) > 0
               unless on (detector) """
            + BETWEEN,
            for_="1m",
            summary="{{ $labels.detector }}: newest scored shower is "
            "{{ $value | humanizeDuration }} old",
            description="Workers are behind, or the producer's clock is. What the page shows is "
            "that old.", board=OPERATIONS,
        ),
    ]  # fmt: skip


def _records() -> list[Rule]:
    """Return what cannot be used, or is not there."""
    return [
        alert(
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
        alert(
            "CaloBlocksMissing", "warning",
            "sum by (detector) (increase(calodqm_blocks_missing_total[5m])) > 0",
            keep="5m",
            summary="{{ $labels.detector }}: {{ $value | humanize }} blocks lost before Kafka",
            description="Producers number their blocks and some numbers never came.",
            board=OPERATIONS,
        ),
        alert(
            "CaloShowersShed", "warning",
            """sum by (detector) (rate(calodqm_showers_skipped_total{reason="shed"}[5m])) > 0""",
            keep="5m",
            summary="{{ $labels.detector }}: {{ $value | humanize }} showers/s left out to keep up",
            description="Shedding is switched on and at work. Verdicts are marked; tests see fewer "
            "showers. Add workers.", board=OPERATIONS,
        ),
        alert(
            "CaloScoresNotFinite", "warning",
            f"{_share('unscored')} > 0.001",
            for_="1m",
            summary="{{ $labels.region }}: {{ $value | humanizePercentage }} of the showers have "
            "no finite score",
            description="The model cannot make sense of them, or it is damaged.", board=DETECTOR,
        ),
        alert(
            "CaloShowersUnknown", "warning",
            f"{_share('unknown')} > 0.01",
            for_="1m",
            summary="{{ $labels.region }}: {{ $value | humanizePercentage }} of the showers are "
            "outside of what the model knows",
            description="Their energies or conditions are others than those that it was trained "
            "on. They are neither good nor strange; where most are, verdicts are NULL.",
            board=DETECTOR,
        ),
    ]  # fmt: skip


def _share(what: str) -> str:
    """Return which part of a region's showers is unscored, or unknown, beside those that are scored."""
    these = f"sum by (detector, region) (rate(calodqm_showers_{what}_total[5m]))"
    scored = "sum by (detector, region) (rate(calodqm_showers_scored_total[5m]))"
    return f"{these}\n               / ({these}\n                + {scored})"
