"""Exposition: a process' registry of series, and its text for a scraper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import StrEnum


class Exposition:
    """A registry and its text: one process, one exposition, whatever jobs the process does."""

    def __init__(self, version: str) -> None:
        # A second series per child, which no rule reads, would almost double the scrape.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.info("calodqm_build", "Software that runs.").info({"version": version})
        self.lag = self.gauge(
            "calodqm_consumer_lag_records",
            "End of the partition less our position; NaN if no broker says where it ends.",
            "topic",
            "partition",
        )
        self.lag_age = self.gauge(
            "calodqm_consumer_lag_age_seconds",
            "Time since a broker said where the partition ends.",
            "topic",
            "partition",
        )
        self._undigested = self.counter(
            "calodqm_records_undigested",
            "Records of our own topics that could not be taken; each is a dead letter.",
            "topic",
        )

    def expect(self, topics: Iterable[str]) -> None:
        """Begin to count what cannot be taken of topics: rates need a beginning at zero."""
        for topic in topics:
            self._undigested.labels(topic)

    def undigested(self, topic: str) -> None:
        """Count a record that could not be taken."""
        self._undigested.labels(topic).inc()

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Return a new counter; `_total` is added to its name."""
        return Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """Return a new gauge."""
        return Gauge(name, text, labels, registry=self.registry)

    def histogram(self, name: str, text: str, edges: tuple[float, ...], *labels: str) -> Histogram:
        """Return a new histogram, for what is observed once a batch."""
        return Histogram(name, text, labels, buckets=edges, registry=self.registry)

    def info(self, name: str, text: str) -> Info:
        """Return a new set of facts; `_info` is added to its name."""
        return Info(name, text, registry=self.registry)

    def states(self, name: str, text: str, states: type[StrEnum]) -> Enum:
        """Return a new state set, in the first of its states."""
        return Enum(name, text, states=[s.value for s in states], registry=self.registry)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the text that a scraper with this Accept header wants, and its content type.

        Exemplars exist in OpenMetrics only; Prometheus asks for that by itself.
        """
        try:
            encoder, content_type = choose_encoder(accept)
        except (ValueError, TypeError):  # a version that is none
            encoder, content_type = choose_encoder("")
        return encoder(self.registry), content_type
