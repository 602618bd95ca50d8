"""Panels: plain dictionaries as Grafana 9 to 13 accept them, laid out without a library."""

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
HELD = "#55606c"
"""A fault that somebody has in hand."""

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

LEAST = -1e9
"""Below every number that is shown."""

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


def _nothing_known(thresholds: Json) -> Json:
    """Return thresholds by which what has no value is grey: Grafana gives it the lowest colour."""
    lowest, *others = thresholds["steps"]
    if lowest["color"] in {NULL, "transparent"}:
        return thresholds
    return thresholds | {
        "steps": [{"value": None, "color": NULL}, lowest | {"value": LEAST}, *others]
    }


def mapped(values: Iterable[tuple[str, str, str]]) -> list[Json]:
    """Return value mappings from (value, text, colour)."""
    options = {
        value: {"text": text, "color": colour, "index": i}
        for i, (value, text, colour) in enumerate(values)
    }
    return [{"type": "value", "options": options}]


def link(title: str, url: str) -> Json:
    """Return a link that opens beside the dashboard."""
    return {"title": title, "url": url, "targetBlank": True}


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

    def stat(self, title: str, width: int, *targets: Json, height: int = 5, **more: Any) -> None:
        """Add big numbers: of now, for the last hour's best is no answer."""
        targets = tuple(target | {"range": False, "instant": True} for target in targets)
        more.setdefault("noValue", "?")
        if "thresholds" in more:
            more["thresholds"] = _nothing_known(more["thresholds"])
        options = STAT | more.pop("options", {})
        self.add("stat", title, (width, height), *targets, options=options, **more)

    def below(self) -> None:
        """Put the panel added last under the one before it, of the same width."""
        above, last = self.panels[-2]["gridPos"], self.panels[-1]["gridPos"]
        last.update(x=above["x"], y=above["y"] + above["h"])
        self._x, self._y = above["x"] + above["w"], above["y"]
        self._row = max(above["h"] + last["h"], self._row)

    def lines(self, title: str, size: tuple[int, int], *targets: Json, **more: Any) -> None:
        """Add curves over time."""
        custom = DRAWN | more.pop("custom", {})
        more.setdefault("color", BY_SERIES)
        self.add("timeseries", title, size, *targets, options=LINES, custom=custom, **more)

    def words(self, title: str, size: tuple[int, int], markdown: str, text: str) -> None:
        """Add text."""
        options = {"mode": "markdown", "content": markdown}
        self.add("text", title, size, options=options, text=text)
