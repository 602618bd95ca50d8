"""Series of a model in shadow: whether it covers the data, and how it compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

ROLES = ("primary", "shadow")


class ShadowSeries(Collector):
    """The newest report of a comparison as families; there are none without a shadow."""

    def __init__(self) -> None:
        self.now: tuple[str, dict[str, Any]] | None = None
        """Hash of the shadow, and `monitor.judging.comparison.Comparison.report`."""

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        if self.now is None:
            return
        model, report = self.now
        info = InfoMetricFamily("calodqm_shadow", "Model that runs beside the one in force.")
        info.add_metric([], {"sha256": model})
        yield info
        for name, text in (
            ("coverage", "Share of ranges that carried the shadow's windows."),
            ("correlation", "Correlation of -log10 p of the two models."),
        ):
            family = GaugeMetricFamily(f"calodqm_shadow_{name}_ratio", text)
            if report[name] is not None:
                family.add_metric([], report[name])
            yield family
        ratio = GaugeMetricFamily(
            "calodqm_shadow_calibration_ratio",
            "Anomalous showers seen over expected, since the shadow began.",
            labels=["role", "level"],
        )
        for level, values in report["levels"].items():
            for role in ROLES:
                value = values[f"{role} seen over expected"]
                if value is not None:
                    ratio.add_metric([role, level], value)
        yield ratio
        differ = GaugeMetricFamily(
            "calodqm_shadow_alarms_differing",
            "Alarms that one model alone raised.",
            labels=["role"],
        )
        for role in ROLES:
            differ.add_metric([role], len(report["alarms"][f"{role} alone"]))
        yield differ
