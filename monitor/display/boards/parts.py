"""Parts: panels that several dashboards share."""

from __future__ import annotations

from monitor.display.boards.panels import (
    BAD,
    GOOD,
    HELD,
    HERE,
    MEDIUM,
    NULL,
    QUALITY,
    REGION,
    Layout,
    link,
    mapped,
    query,
    steps,
)

ALARM_COLUMNS = {
    "id": "organize",
    "options": {
        "excludeByName": {"Time": True},
        "indexByName": {"severity": 0, "place": 1, "kind": 2, "Value #B": 3, "Value #A": 4},
        "renameByName": {"Value #A": "odds, 10^", "Value #B": "since"},
    },
}
"""The columns of the table of alarms, in their order."""

SEVERITIES = (
    ("page", "PAGE", BAD),
    ("warning", "warning", MEDIUM),
    ("ticket", "ticket", NULL),
)


def quality_timeline(layout: Layout, size: tuple[int, int]) -> None:
    """Add every region's verdict over time."""
    code = " + ".join(
        f'{value} * max by (region) (calodqm_region_quality{{{REGION},calodqm_region_quality="{name}"}})'
        for value, name in ((1, "null"), (2, "medium"), (3, "bad"))
    )
    layout.add(
        "state-timeline",
        "Verdict of each region",
        size,
        query(code, "{{region}}"),
        text="The judge's verdict as it was at the time. A gap: no judge was there.",
        options={
            "mergeValues": True,
            "showValue": "never",
            "alignValue": "left",
            "rowHeight": 0.85,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "single", "sort": "none"},
        },
        custom={"lineWidth": 0, "fillOpacity": 85},
        mappings=mapped(QUALITY),
        thresholds=steps((None, GOOD), (1, NULL), (2, MEDIUM), (3, BAD)),
        color={"mode": "thresholds"},
        unit="none",
    )


def alarm_table(layout: Layout, size: tuple[int, int]) -> None:
    """Add the open alarms, the strongest first."""
    odds = f"max by (place, severity, kind) (calodqm_alarm_log10_odds{{{HERE}}})"
    onset = (
        f"max by (place, severity, kind) (calodqm_alarm_onset_timestamp_seconds{{{HERE}}}) * 1000"
    )
    layout.add(
        "table",
        "Open alarms",
        size,
        query(odds, ref="A", form="table", now=True),
        query(onset, ref="B", form="table", now=True),
        text="What the judge holds to be real. Odds of 12 mean 10^12 to 1 against chance.",
        noValue="No open alarm is told",
        options={"showHeader": True, "cellHeight": "lg"},
        transformations=[{"id": "merge", "options": {}}, ALARM_COLUMNS],
        overrides=[
            {
                "matcher": {"id": "byName", "options": "since"},
                "properties": [{"id": "unit", "value": "dateTimeAsIso"}],
            },
            {
                "matcher": {"id": "byName", "options": "severity"},
                "properties": [
                    {"id": "custom.cellOptions", "value": {"type": "color-background"}},
                    {"id": "mappings", "value": mapped(SEVERITIES)},
                ],
            },
        ],
        links=[link("Evidence in words: the judge's page", "${page}/")],
        unit="none",
        decimals=0,
    )


def loudest(layout: Layout, size: tuple[int, int]) -> None:
    """Add, in letters for three metres, where it is bad and since when."""
    onset = f"""max by (place, kind) (calodqm_alarm_onset_timestamp_seconds{{{HERE},severity="page"}})
      * 1000"""
    loud = f'sum by (place) (calodqm_alarms_open{{{HERE},severity="page"}}) > 0'
    taken = f'sum by (place) (calodqm_alarms_acknowledged{{{HERE},severity="page"}}) > 0'
    layout.stat(
        "Where, since when (UTC)",
        size[0],
        query(f"{onset} and on (place) ({loud})", "{{place}}: {{kind}}", now=True),
        query(f"{onset} and on (place) ({taken})", "{{place}}: {{kind}}, in hand", "B", now=True),
        height=size[1],
        text="Open pages: place, likely kind, and the start of the fault. Grey: somebody has it "
        "in hand.",
        unit="time:HH:mm:ss",
        noValue="–",
        thresholds=steps((None, "transparent"), (0, BAD)),  # red where there is a page alone
        overrides=[
            {
                "matcher": {"id": "byFrameRefID", "options": "B"},
                "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": HELD}}],
            }
        ],
        options={
            "textMode": "value_and_name",
            "orientation": "vertical",
            "wideLayout": False,
            # The place is what counts; left alone, the time takes the room.
            "text": {"titleSize": 52, "valueSize": 44},
        },
    )


def burn(layout: Layout, size: tuple[int, int], level: str, window: str) -> None:
    """Add strange showers over expected ones, by region."""
    layout.lines(
        f"Strange showers over expected, p ≤ {level}",
        size,
        query(
            f'region:calodqm_anomaly_burn:ratio_rate{window}{{{REGION},level="{level}"}}',
            "{{region}}",
        ),
        text=f"1 is as expected, over {window}. At p ≤ 0.001 the second line pages at 10 for five "
        "minutes or at 50 for one.",
        unit="none",
        thresholds=steps((None, "transparent"), (3, MEDIUM), (10, BAD)),
        # One loud region must not flatten the others, nor hide the line at 10.
        custom={
            "thresholdsStyle": {"mode": "line"},
            "scaleDistribution": {"type": "symlog", "log": 10, "linearThreshold": 1},
        },
        links=[
            link("Strangest showers", "/d/calodqm-events?${region:queryparam}&${__url_time_range}")
        ],
    )
