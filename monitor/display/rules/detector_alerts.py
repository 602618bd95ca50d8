"""Alerts of the detector: what the judge says, and the second line that needs no judge."""

from __future__ import annotations

from monitor.display.rules.alert import DETECTOR, STRICT, Rule, alert
from monitor.display.rules.records import NEED, SILENT

SECONDS = {"1m": 60, "5m": 300, "1h": 3600, "6h": 21_600}

HOLD = "5m"
"""For so long the last word on an alarm holds while no judge is in office."""

# Of region and sector alike: Alertmanager keeps quiet what an alarm of either explains.
PLACED = "* on (detector, region) group_left (sector) region:calodqm_region:sector"
IN_RUN = "unless on (detector, region) max by (detector, region) (calodqm_region_out) == 1"


def first_line() -> list[Rule]:
    """Return what the judge's sequential tests say."""
    return [
        _judge("CaloAlarmPage", "page", "Follow the runbook now."),
        _judge("CaloAlarmWarning", "warning", "Look within the hour."),
        _in_hand(),
        _explained(),
    ]


def _last(how: str, matchers: str = "") -> str:
    """Return the last word on alarms: a judge that restarts must not end a page."""
    return f"last_over_time(place:calodqm_alarms_{how}:max{matchers}[{HOLD}]) > 0"


def _judge(name: str, severity: str, what_to_do: str) -> Rule:
    rule = alert(
        name,
        severity,
        _by_level(_last("open", f'{{severity="{severity}",level="LEVEL"}}')),
        summary="{{ $labels.level }} {{ $labels.place }}" + _evidence(f'"{severity}"'),
        description=f"The judge holds the false pages of the whole detector to a budget and says "
        f"that this is real. {what_to_do} The page of the judge has the evidence in words.",
    )
    return rule | {"labels": rule["labels"] | {"alarm": severity}}


def _in_hand() -> Rule:
    taken = _by_level(
        f"""(label_replace({_last("acknowledged", '{level="LEVEL"}')},
               "alarm", "$1", "severity", "(.*)")
             unless on (detector, level, place, severity) {_last("open")})"""
    )
    return alert(
        "CaloAlarmInHand",
        "held",
        taken,
        summary="{{ $labels.level }} {{ $labels.place }}" + _evidence("$labels.alarm"),
        description="Somebody has acknowledged it; the page of the judge says who, and why. The "
        "fault goes on, and what it explains stays quiet.",
    )


def _explained() -> Rule:
    """Return what the alarm of a sector says for each sector in it: it calls nobody."""
    series = f"last_over_time(sector:calodqm_explained:max[{HOLD}]) > 0"
    rule = alert(
        "CaloSectorExplained",
        "none",
        f'label_replace({series}, "alarm", "$1", "severity", "(.*)")',
        summary="{{ $labels.sector }}: explained by the alarm of a sector around it",
        description="It calls nobody: what it is for is to keep the second line quiet there, as "
        "the alarm of the sector itself would.",
    )
    return rule | {"labels": rule["labels"] | {"level": "sector"}}


def _by_level(expression: str) -> str:
    """Return an expression for alarms of every level, with what place they are of as a label."""
    of_level = [
        f'label_replace({expression.replace("LEVEL", level)}, "{level}", "$1", "place", "(.*)")'
        for level in ("region", "sector")
    ]
    return " or ".join([*of_level, expression.replace("LEVEL", "detector")])


def _evidence(severity: str) -> str:
    """Return what is known of an alarm by now: its kind sharpens while evidence grows."""
    series = "calodqm_alarm_onset_timestamp_seconds{detector='%s',place='%s',severity='%s'}"
    return (
        f'{{{{ with printf "{series}" $labels.detector $labels.place {severity} | query }}}}'
        "{{ with . | first }}: {{ .Labels.kind }} since {{ . | value | humanizeTimestamp }}{{ end }}{{ end }}"
    )


def _burn(long: str, short: str, times: float, least: int) -> str:
    least_rate = f"region:calodqm_anomalous_showers:rate{long}{{{STRICT}}} * {SECONDS[long]}"
    return f"""(
        region:calodqm_anomaly_burn:ratio_rate{long}{{{STRICT}}} > {times:g}
        and region:calodqm_anomaly_burn:ratio_rate{short}{{{STRICT}}} > {times:g}
        and {least_rate} >= {least}
      ) {PLACED}"""


RATE = "{{ $labels.region }}: strange showers at {{ $value | humanize }} times the expected rate"


def second_line() -> list[Rule]:
    """Return burn rates of the workers' own counters over minutes."""
    return [
        alert(
            "CaloAnomalyFlood", "page", _burn("1m", "20s", 50, 20), keep="1m",
            summary=RATE, board=DETECTOR,
            description="Over the last minute and the last 20 s. This line of defence works "
            "without the judge. Something broke all at once.",
        ),
        alert(
            "CaloAnomalySpike", "page", _burn("5m", "1m", 10, 20), keep="2m",
            summary=RATE, board=DETECTOR,
            description="Over the last five minutes and the last one. This line of defence works "
            "without the judge.",
        ),
    ]  # fmt: skip


def hours() -> list[Rule]:
    """Return what is looked at every minute."""
    return [
        alert(
            "CaloAnomalyElevated", "warning", _burn("1h", "5m", 3, 50), keep="10m",
            summary=RATE + ", for an hour", board=DETECTOR,
            description="A steady excess that is too small to page.",
        ),
        alert(
            "CaloMonitorBlind", "warning",
            f"""max by (detector, region)
                (region:calodqm_expected_anomalous_showers:rate30m{{{STRICT}}} * 1800) > 25
              and on (detector, region)
                region:calodqm_anomalous_showers:rate30m{{{STRICT}}} == 0""",
            summary="{{ $labels.region }}: not one strange shower where "
            "{{ $value | humanize }} are expected", board=DETECTOR,
            description="A working monitor flags some good showers. The scores, the reference or "
            "the input of this region is broken, and a fault there would not be seen.",
        ),
    ]  # fmt: skip


def day() -> list[Rule]:
    """Return what is looked at every five minutes."""
    return [
        alert(
            "CaloAnomalyCreep", "ticket", _burn("6h", "30m", 1.5, 200), keep="30m",
            summary=RATE + ", over six hours", board=DETECTOR,
            description="A slow rise: ageing, drifting conditions or a reference that no longer "
            "fits.",
        ),
    ]  # fmt: skip


def silent_region(beam: str) -> Rule:
    """Return the alert of a region that is silent, by exact counts.

    It should have had `NEED` showers in the window, by its usual share of what the detector has
    had in it. Once silent it stays so until something comes: what is usual fades, the fault does
    not. `beam` is what must have a value, as ` and on () ...`, or nothing.
    """
    came = "region:calodqm_showers_seen:rate"
    windows = " or ".join(
        f"""({came}{window} == 0 and on (detector, region)
              (region:calodqm_showers_usual:share * on (detector) group_left ()
                 ({seconds} * sum by (detector) ({came}{window})) >= {NEED}){beam})"""
        for window, seconds in SILENT.items()
    )
    return alert(
        "CaloRegionSilent", "page",
        f"""(({windows}
              or on (detector, region) ({came}2m == 0 and on (detector, region)
                ALERTS{{alertname="CaloRegionSilent",alertstate="firing"}}))
             unless on (detector) max by (detector) (calodqm_consumer_lag_age_seconds) > 5
             {IN_RUN}) {PLACED}""",
        for_="1m",
        summary="{{ $labels.region }}: silent while other regions have showers",
        description="By its usual share it should have had 25 showers or more. Readout, high "
        "voltage or the producer of this region.",
    )  # fmt: skip
