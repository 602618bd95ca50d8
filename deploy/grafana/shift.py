"""Shift: what hangs on the wall."""

from __future__ import annotations

from grafana.frame import dashboard
from grafana.panels import (
    BAD,
    GOOD,
    HERE,
    MEDIUM,
    NULL,
    REGION,
    Json,
    Layout,
    mapped,
    query,
    steps,
)
from grafana.parts import alarm_table, burn, quality_timeline


def shift() -> Json:
    """Return what hangs on the wall: is it bad, where, since when, what do I do."""
    layout = Layout()
    bad = f'calodqm_region_quality{{{REGION},calodqm_region_quality="bad"}}'
    layout.stat(
        "Detector", 6, query(f"sum(max by (region) ({bad}))"),
        text="Regions whose verdict is BAD.", unit="none",
        mappings=[
            *mapped((("0", "✓ GOOD", GOOD),)),
            {"type": "special", "options": {"match": "null+nan", "result": {"text": "? NO JUDGE", "color": NULL}}},
            {"type": "range", "options": {"from": 1, "to": 1e6, "result": {"text": "✕ BAD", "color": BAD}}},
        ],
        thresholds=steps((None, GOOD), (1, BAD)),
    )  # fmt: skip
    for title, severity, colour in (
        ("Pages open", "page", BAD),
        ("Warnings open", "warning", MEDIUM),
    ):
        layout.stat(
            title, 4,
            query(f'sum(max by (level, place) (calodqm_alarms_open{{{HERE},severity="{severity}"}}))'),
            text="Alarms that nobody has acknowledged.", unit="none",
            thresholds=steps((None, GOOD), (1, colour)),
        )  # fmt: skip
    layout.stat(
        "Newest judged data", 4, query(f"time() - max(calodqm_data_timestamp_seconds{{{HERE}}})"),
        text="Age of the newest data-second that the judge has closed. Beyond a minute, what is "
        "shown is the past.", unit="s",
        thresholds=steps((None, GOOD), (30, MEDIUM), (60, BAD)),
    )  # fmt: skip
    layout.stat(
        "Showers a second", 3, query(f"sum(region:calodqm_showers_scored:rate1m{{{REGION}}})"),
        text="Scored by all workers, over a minute.", unit="none", decimals=0,
        thresholds=steps((None, BAD), (1, GOOD)),
    )  # fmt: skip
    layout.stat(
        "Run", 3, query(f"max(calodqm_run_number{{{HERE}}})"),
        text="Run of the newest shower.", unit="none", decimals=0,
        options={"colorMode": "none"},
    )  # fmt: skip
    alarm_table(layout, (14, 9))
    layout.words(
        "What do I do?", (10, 9),
        "1. **Red or a page?** Open [the judge's page](${page}/): it names the place, the time and "
        "whom to call.\n2. Follow *What to do* there.\n3. When somebody has it in hand: "
        "`calodqm ack ALARM --cause \"...\"`.\n4. **Grey?** Nobody is watching: see "
        "[Operations](/d/calodqm-operations).\n\nGreen means: watched, and within what chance allows.",
        text="The shifter's page in four lines.",
    )  # fmt: skip
    quality_timeline(layout, (24, 12))
    burn(layout, (24, 9), "0.01", "1m")
    return dashboard("shift", "Shift", "Is it bad, where, since when, what do I do.", layout)
