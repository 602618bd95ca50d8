"""Frame: what every dashboard has around its panels: variables, links, annotations."""

from __future__ import annotations

from monitor.display.boards.panels import (
    BAD,
    GOOD,
    HERE,
    NULL,
    SOURCE,
    Json,
    Layout,
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
