"""Event display: single showers, drawn."""

from __future__ import annotations

from monitor.display.boards.frame import dashboard
from monitor.display.boards.panels import (
    BAD,
    MEDIUM,
    NULL,
    REGION,
    STAT,
    Json,
    Layout,
    query,
    steps,
)
from monitor.display.boards.parts import alarm_table


def events() -> Json:
    """Return the event display."""
    layout = Layout()
    layout.words(
        "Shower ${record}", (10, 16),
        "[![shower](${page}/pictures/${record}.png)](${page}/pictures/${record}.png)\n\n"
        "*Seen*, *expected* at this energy, and *strange*: how many standard deviations each cell "
        "is off, blue too little, red too much.",
        text="Type topic/partition/offset/row into the box above, or click a diamond on any panel.",
    )  # fmt: skip
    layout.lines(
        "Strange showers (diamonds lead to pictures)", (14, 8),
        query(f"""sum by (region)
          (rate(calodqm_anomalous_showers_total{{{REGION},level="0.01"}}[$__rate_interval]))""",
              "{{region}}"),
        text="Showers a second with p ≤ 0.01. Each diamond is the strangest of a batch.",
        unit="none", min=0,
    )  # fmt: skip
    layout.add(
        "bargauge", "Strangest regions, five minutes", (14, 8),
        query(f"""topk(8, sum by (region)
          (increase(calodqm_anomalous_showers_total{{{REGION},level="0.001"}}[5m])))""",
              "{{region}}", now=True),
        text="Showers with p ≤ 0.001.", unit="none", decimals=0, min=0,
        options={
            "displayMode": "basic", "orientation": "horizontal", "showUnfilled": True,
            "valueMode": "color", "namePlacement": "auto", "sizing": "auto", "minVizHeight": 16,
            "minVizWidth": 8, "maxVizHeight": 300, "reduceOptions": STAT["reduceOptions"],
        },
        thresholds=steps((None, NULL), (20, MEDIUM), (100, BAD)), color={"mode": "thresholds"},
    )  # fmt: skip
    layout.below()
    alarm_table(layout, (24, 8))
    box = {
        "type": "textbox", "name": "record", "label": "Record", "hide": 0, "skipUrlSync": False,
        "query": "calo.showers.v1/0/0/0", "options": [],
        "current": {"text": "calo.showers.v1/0/0/0", "value": "calo.showers.v1/0/0/0"},
    }  # fmt: skip
    return dashboard("events", "Event display", "The strangest showers, drawn.", layout, box)
