"""The dashboards, as plain dictionaries: reviewable, without a library, accepted by Grafana 9 to 13."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]

SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
HERE = 'detector=~"$detector"'
REGION = f'{HERE},region=~"$region"'

# The page's own colours; a shape or a word always says the same.
GOOD, MEDIUM, BAD, NULL = "#00795a", "#f0a33a", "#c22f10", "#93a0ac"

STAT: Json = {
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    "colorMode": "background",
    "graphMode": "none",
    "justifyMode": "center",
    "textMode": "auto",
    "orientation": "auto",
    "wideLayout": True,
    "showPercentChange": False,
}
LINES: Json = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
    "tooltip": {"mode": "multi", "sort": "desc"},
}
DRAWN: Json = {
    "drawStyle": "line",
    "lineWidth": 2,
    "fillOpacity": 6,
    "showPoints": "never",
    "spanNulls": False,
}
BY_SERIES: Json = {"mode": "palette-classic-by-name"}

QUALITY = (("0", "good", GOOD), ("1", "null", NULL), ("2", "MEDIUM", MEDIUM), ("3", "BAD", BAD))


def query(
    expression: str,
    legend: str = "",
    ref: str = "A",
    *,
    form: str = "time_series",
    now: bool = False,
) -> Json:
    """Return a target; exemplars come with whatever has them."""
    return {
        "refId": ref,
        "datasource": SOURCE,
        "expr": " ".join(expression.split()),
        "legendFormat": legend,
        "range": not now,
        "instant": now,
        "exemplar": "_bucket" in expression or "anomalous" in expression,
        "format": form,
        "editorMode": "code",
    }


def steps(*pairs: tuple[float | None, str]) -> Json:
    """Return thresholds: from each value on, its colour."""
    return {"mode": "absolute", "steps": [{"value": value, "color": c} for value, c in pairs]}


def mapped(values: Iterable[tuple[str, str, str]]) -> list[Json]:
    """Return value mappings from (value, text, colour)."""
    options = {
        value: {"text": text, "color": colour, "index": i}
        for i, (value, text, colour) in enumerate(values)
    }
    return [{"type": "value", "options": options}]


@dataclass
class Layout:
    """Panels laid out from left to right on the 24 columns."""

    panels: list[Json] = field(default_factory=list)
    _x: int = 0
    _y: int = 0
    _row: int = 0

    def add(
        self, kind: str, title: str, size: tuple[int, int], *targets: Json, **more: Any
    ) -> None:
        """Add a panel; `more` are unit, text (its description), options, custom, and defaults."""
        width, height = size
        if self._x + width > 24:
            self._x, self._y = 0, self._y + self._row
            self._row = 0
        self._row = max(self._row, height)
        options, custom = more.pop("options", {}), more.pop("custom", {})
        transformations = more.pop("transformations", None)
        links, overrides = more.pop("links", []), more.pop("overrides", [])
        panel: Json = {
            "id": len(self.panels) + 1,
            "type": kind,
            "title": title,
            "description": more.pop("text"),
            "gridPos": {"x": self._x, "y": self._y, "w": width, "h": height},
            "options": options,
            "links": links,
        }
        if kind != "text":
            defaults = {"unit": more.pop("unit", "short"), "custom": custom, **more}
            panel["datasource"] = SOURCE
            panel["targets"] = list(targets)
            panel["fieldConfig"] = {"defaults": defaults, "overrides": overrides}
        if transformations:
            panel["transformations"] = transformations
        self.panels.append(panel)
        self._x += width

    def stat(self, title: str, width: int, target: Json, **more: Any) -> None:
        """Add one big number."""
        options = STAT | more.pop("options", {})
        self.add("stat", title, (width, 5), target, options=options, **more)

    def lines(self, title: str, size: tuple[int, int], *targets: Json, **more: Any) -> None:
        """Add curves over time."""
        custom = DRAWN | more.pop("custom", {})
        more.setdefault("color", BY_SERIES)
        self.add("timeseries", title, size, *targets, options=LINES, custom=custom, **more)

    def words(self, title: str, size: tuple[int, int], markdown: str, text: str) -> None:
        """Add text."""
        options = {"mode": "markdown", "content": markdown}
        self.add("text", title, size, options=options, text=text)


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
        options={"showHeader": True, "cellHeight": "lg"},
        transformations=[
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "indexByName": {
                        "severity": 0,
                        "place": 1,
                        "kind": 2,
                        "Value #B": 3,
                        "Value #A": 4,
                    },
                    "renameByName": {"Value #A": "odds, 10^", "Value #B": "since"},
                },
            },
        ],
        overrides=[
            {
                "matcher": {"id": "byName", "options": "since"},
                "properties": [{"id": "unit", "value": "dateTimeAsIso"}],
            },
            {
                "matcher": {"id": "byName", "options": "severity"},
                "properties": [
                    {"id": "custom.cellOptions", "value": {"type": "color-background"}},
                    {
                        "id": "mappings",
                        "value": mapped(
                            (
                                ("page", "PAGE", BAD),
                                ("warning", "warning", MEDIUM),
                                ("ticket", "ticket", NULL),
                            )
                        ),
                    },
                ],
            },
        ],
        links=[link("Evidence in words: the judge's page", "${page}/")],
        unit="none",
        decimals=1,
    )


def link(title: str, url: str) -> Json:
    """Return a link that opens beside the dashboard."""
    return {"title": title, "url": url, "targetBlank": True}


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
        min=0,
        thresholds=steps((None, "transparent"), (3, MEDIUM), (10, BAD)),
        custom={"thresholdsStyle": {"mode": "line"}},
        links=[
            link("Strangest showers", "/d/calodqm-events?${region:queryparam}&${__url_time_range}")
        ],
    )


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


def detector() -> Json:
    """Return the expert's view of the regions."""
    layout = Layout()
    burn(layout, (12, 9), "0.01", "5m")
    burn(layout, (12, 9), "0.001", "5m")
    quality_timeline(layout, (24, 9))
    layout.add(
        "heatmap", "How strange showers are", (12, 9),
        query(f"sum by (le) (increase(calodqm_anomaly_score_bucket{{{REGION}}}[$__rate_interval]))",
              "{{le}}", form="heatmap"),
        text="Minus log10 of the p-value. A good detector falls by ten a unit. Diamonds are single "
        "showers: click one for its picture.", unit="none",
        options={
            "calculate": False, "cellGap": 1,
            "color": {"mode": "scheme", "scheme": "Cividis", "exponent": 0.3, "steps": 64,
                      "reverse": False, "scale": "exponential", "fill": "dark-orange"},
            "exemplars": {"color": "rgba(220,50,32,0.9)"}, "filterValues": {"le": 1e-9},
            "legend": {"show": True}, "rowsFrame": {"layout": "auto"},
            "tooltip": {"mode": "single", "showColorScale": True, "yHistogram": False},
            "yAxis": {"axisPlacement": "left", "reverse": False, "unit": "none"},
        },
    )  # fmt: skip
    layout.lines(
        "Seen over expected, by level", (12, 9),
        query(f"""sum by (level) (region:calodqm_anomalous_showers:rate5m{{{REGION}}})
                  / sum by (level) (region:calodqm_expected_anomalous_showers:rate5m{{{REGION}}})""",
              "p ≤ {{level}}"),
        text="The p-value spectrum in three numbers: all 1 if it is flat. Only the smallest level "
        "rises with rare faults; all rise with drifts.", unit="none", min=0,
    )  # fmt: skip
    layout.lines(
        "Showers a second, by region", (12, 8),
        query(f"region:calodqm_showers_scored:rate1m{{{REGION}}}", "{{region}}"),
        text="A region that stops has stopped upstream.", unit="none", min=0,
    )  # fmt: skip
    layout.lines(
        "Showers without a finite score", (12, 8),
        query(f"sum by (region) (rate(calodqm_showers_unscored_total{{{REGION}}}[5m]))", "{{region}}"),
        text="Nothing, on a good day.", unit="none", min=0,
    )  # fmt: skip
    layout.lines(
        "Live reference against the certified one", (12, 8),
        query(f"max(calodqm_reference_distance{{{HERE}}})", "distance"),
        text="It grows when the live reference drifts, with or without the detector. Empty where "
        "no live reference is kept.", unit="none", min=0,
    )  # fmt: skip
    layout.lines(
        "Self-test: share of injected faults found (6 h)", (12, 8),
        query(f"""sum by (fault) (increase(calodqm_selftest_found_total{{{HERE}}}[6h]))
                  / sum by (fault) (increase(calodqm_selftest_injected_total{{{HERE}}}[6h]))""",
              "{{fault}}"),
        text="Known faults are injected into a shadow of the stream. Below 0.8 the monitor "
        "would miss real ones.", unit="percentunit", min=0, max=1,
    )  # fmt: skip
    return dashboard("detector", "Detector", "Regions over time, p-values, references.", layout)


def events() -> Json:
    """Return the event display."""
    layout = Layout()
    layout.words(
        "Shower ${record}", (14, 16),
        "[![shower](${page}/pictures/${record}.png)](${page}/pictures/${record}.png)\n\n"
        "*Seen*, *expected* at this energy, and *strange*: how many standard deviations each cell "
        "is off, blue too little, red too much.",
        text="Type topic/partition/offset/row into the box above, or click a diamond on any panel.",
    )  # fmt: skip
    layout.lines(
        "Strange showers (diamonds lead to pictures)", (10, 8),
        query(f"""sum by (region)
          (rate(calodqm_anomalous_showers_total{{{REGION},level="0.01"}}[$__rate_interval]))""",
              "{{region}}"),
        text="Showers a second with p ≤ 0.01. Each diamond is the strangest of a batch.",
        unit="none", min=0,
    )  # fmt: skip
    layout.add(
        "bargauge", "Strangest regions, five minutes", (10, 8),
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
    alarm_table(layout, (24, 8))
    box = {
        "type": "textbox", "name": "record", "label": "Record", "hide": 0, "skipUrlSync": False,
        "query": "calo.showers.v1/0/0/0", "options": [],
        "current": {"text": "calo.showers.v1/0/0/0", "value": "calo.showers.v1/0/0/0"},
    }  # fmt: skip
    return dashboard("events", "Event display", "The strangest showers, drawn.", layout, box)


def operations() -> Json:
    """Return what the operator looks at."""
    layout = Layout()
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
        query(f"max(calodqm_last_shower_timestamp_seconds{{{HERE}}}) - max(calodqm_data_timestamp_seconds{{{HERE}}})"),
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
    layout.lines(
        "Showers in a batch", (8, 8),
        query(f"sum(rate(calodqm_batch_showers_sum{{{HERE}}}[1m])) / sum(rate(calodqm_batch_showers_count{{{HERE}}}[1m]))", "mean"),
        text="Batches grow under load: that is where the speed comes from.", unit="none", min=0,
    )  # fmt: skip
    layout.lines(
        "Records rejected", (8, 8),
        query(f"sum by (reason) (rate(calodqm_records_rejected_total{{{HERE}}}[5m]))", "{{reason}}"),
        query(f"sum(rate(calodqm_blocks_missing_total{{{HERE}}}[5m]))", "missing blocks", "B"),
        text="Kept on calo.rejects.v1 with reason and coordinates.", unit="none", min=0,
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
    table = {"showHeader": True, "cellHeight": "sm"}
    hide = [
        {
            "id": "organize",
            "options": {
                "excludeByName": {"Time": True, "Value": True},
                "indexByName": {},
                "renameByName": {},
            },
        }
    ]
    layout.add(
        "table", "Models and references in force", (12, 7),
        query(f"count by (family, version, sha256) (calodqm_model_info{{{HERE}}})", ref="A", form="table", now=True),
        query(f"count by (origin, id) (calodqm_reference_info{{{HERE}}})", ref="B", form="table", now=True),
        text="More than one model for longer than a roll-out is an alert.", options=table, unit="none",
    )  # fmt: skip
    layout.add(
        "table", "Alerts firing", (12, 7),
        query('ALERTS{alertstate="firing",alertname=~"Calo.+"}', form="table", now=True),
        text="As Prometheus sees them, before Alertmanager groups and inhibits.",
        options=table, transformations=hide, unit="none",
    )  # fmt: skip
    return dashboard(
        "operations", "Operations", "Throughput, lag, state, versions, budget.", layout
    )


def _variable(name: str, expression: str, label: str) -> Json:
    return {
        "type": "query", "name": name, "label": label, "datasource": SOURCE,
        "query": {"query": expression, "refId": "variable"}, "definition": expression,
        "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]}, "options": [], "hide": 0,
        "skipUrlSync": False, "regex": "",
    }  # fmt: skip


def _annotations() -> list[Json]:
    def on(name: str, colour: str, expression: str, title: str) -> Json:
        return {
            "datasource": SOURCE, "enable": True, "hide": False, "iconColor": colour, "name": name,
            "expr": " ".join(expression.split()), "step": "15s", "titleFormat": title,
        }  # fmt: skip

    return [
        {
            "builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": True,
            "hide": True, "iconColor": NULL, "name": "Annotations & Alerts", "type": "dashboard",
        },
        {
            "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": True, "hide": False,
            "iconColor": BAD, "name": "Alarms, as pushed",
            "target": {"limit": 100, "matchAny": False, "tags": ["calodqm"], "type": "tags"},
        },
        on("Pages", BAD, f'sum by (place) (calodqm_alarms_open{{{HERE},severity="page"}}) > 0', "{{place}}"),
        on("Acknowledged", GOOD,
           f"sum by (place) (calodqm_alarms_acknowledged{{{HERE}}}) > 0", "{{place}} in hand"),
        on("New run", "#62b3f5", f"changes(max(calodqm_run_number{{{HERE}}})[1m:15s]) > 0", "new run"),
        on("New model", "#b877d9",
           f"count by (sha256) (calodqm_model_info{{{HERE}}})"
           f" unless count by (sha256) (calodqm_model_info{{{HERE}}} offset 1m)", "new model"),
    ]  # fmt: skip


def dashboard(name: str, title: str, text: str, layout: Layout, *variables: Json) -> Json:
    """Return a dashboard with what all of them share."""
    return {
        "uid": f"calodqm-{name}",
        "title": f"Calorimeter: {title}",
        "description": text,
        "tags": ["calodqm"],
        "schemaVersion": 41,
        "version": 0,
        "editable": False,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "weekStart": "",
        "timezone": "utc",
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
        "links": [
            {
                "type": "dashboards", "title": "Dashboards", "tags": ["calodqm"], "asDropdown": False,
                "icon": "external link", "includeVars": True, "keepTime": True,
                "targetBlank": False, "tooltip": "", "url": "",
            },
            {
                "type": "link", "title": "The judge's page", "url": "${page}/", "tags": [],
                "asDropdown": False, "icon": "dashboard", "includeVars": False, "keepTime": False,
                "targetBlank": True, "tooltip": "Verdicts and alarms in words",
            },
        ],
        "templating": {
            "list": [
                {
                    "type": "datasource", "name": "datasource", "label": "Data source",
                    "query": "prometheus", "refresh": 1, "multi": False, "includeAll": False,
                    "current": {"text": "default", "value": "default"}, "options": [], "hide": 0,
                    "skipUrlSync": False, "regex": "",
                },
                _variable("detector", "label_values(calodqm_showers_scored_total, detector)", "Detector"),
                _variable("region", f"label_values(calodqm_showers_scored_total{{{HERE}}}, region)", "Region"),
                {
                    "type": "constant", "name": "page", "label": "Page", "hide": 2,
                    "skipUrlSync": True, "query": "http://127.0.0.1:9108", "options": [],
                    "current": {"text": "http://127.0.0.1:9108", "value": "http://127.0.0.1:9108"},
                },
                *variables,
            ]
        },
        "annotations": {"list": _annotations()},
        "panels": layout.panels,
    }  # fmt: skip


def all_dashboards() -> dict[str, Json]:
    """Return every dashboard by the name of its file."""
    made = (shift(), detector(), events(), operations())
    return {f"{board['uid']}.json": board for board in made}
