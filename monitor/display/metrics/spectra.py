"""Series of what an expert looks at: latents by region and group, p-values, cells of open alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from prometheus_client.core import GaugeMetricFamily

from models.scoring.scales import P_EDGES
from monitor.display.metrics.labels import region_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from prometheus_client.core import Metric

    from monitor.detector.tree import Detector
    from monitor.display.latents import LatentMoments
    from monitor.display.standing import Spectrum
    from monitor.quality.alarms import Alarm

MAX_ALARMS = 8
"""Open alarms whose cells are told, the strongest first: at most eight cells each."""

WIDTHS = np.diff(P_EDGES)
BINS = tuple(f"{edge:g}" for edge in P_EDGES[1:])
"""Label of each bin of p: its upper edge."""


def latent_series(latents: LatentMoments, detector: Detector) -> Iterable[Metric]:
    """Yield the moments by region (by sector where regions are many), and of the references."""
    names, row = region_rows(detector)
    member = row[[region.id for region in detector.regions]]
    tables = {
        "calodqm_latent_mean": (latents.mean, "Mean latent of the last half minute."),
        "calodqm_latent_square": (latents.square, "Mean square of the latents."),
    }
    for name, (values, text) in tables.items():
        family = GaugeMetricFamily(name, text, labels=["region", "group"])
        for region, moments in zip(names, _pooled(values, latents.showers, member), strict=True):
            for group, value in zip(latents.groups, moments, strict=True):
                if np.isfinite(value):  # a region without showers says nothing
                    family.add_metric([region, group], float(value))
        yield family
    family = GaugeMetricFamily(
        "calodqm_latent_square_overall", "Mean square over all latents.", labels=["region"]
    )
    pooled = _pooled(latents.overall[:, None], latents.showers, member)[:, 0]
    for region, value in zip(names, pooled, strict=True):
        if np.isfinite(value):
            family.add_metric([region], float(value))
    yield family
    yield from _reference_series(latents)


def _pooled(
    values: NDArray[np.float64], showers: NDArray[np.int64], member: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the means of each label's regions, weighted by showers; NaN where there are none."""
    rows = int(member.max()) + 1
    n = np.bincount(member, weights=showers, minlength=rows)
    total = np.zeros((rows, values.shape[1]))
    np.add.at(total, member, np.nan_to_num(values) * showers[:, None])
    pooled: NDArray[np.float64] = total / np.where(n > 0, n, np.nan)[:, None]
    return pooled


def _reference_series(latents: LatentMoments) -> Iterable[Metric]:
    for name, field, text in (
        ("calodqm_reference_latent_mean", "mean", "Mean latent that a reference expects."),
        ("calodqm_reference_latent_square", "square", "Mean square that a reference expects."),
    ):
        family = GaugeMetricFamily(name, text, labels=["origin", "group"])
        for reference in latents.references:
            for group, value in zip(latents.groups, getattr(reference, field), strict=True):
                family.add_metric([reference.origin, group], float(value))
        yield family
    family = GaugeMetricFamily(
        "calodqm_reference_latent_square_overall",
        "Mean square over all latents that a reference expects.",
        labels=["origin"],
    )
    for reference in latents.references:
        family.add_metric([reference.origin], reference.overall)
    yield family


def p_series(spectra: Iterable[Spectrum], origin: str) -> Iterable[Metric]:
    """Yield the density of every score's p-value: 1 everywhere if it is flat.

    Parameters
    ----------
    origin
        Of the reference in force. The references' own densities are told of the combined p alone.
    """
    family = GaugeMetricFamily(
        "calodqm_p_density",
        "Share of the showers of the last minutes in a bin of p, over the bin's width.",
        labels=["score", "p", "of"],
    )
    for spectrum in spectra:
        told = {"seen": spectrum.counts.astype(np.float64)}
        if spectrum.name == "combined":
            told[origin] = spectrum.expected
            if spectrum.certified is not None:
                told["certified"] = spectrum.certified
        for of, counts in told.items():
            density = counts / max(float(counts.sum()), 1.0) / WIDTHS
            for label, value in zip(BINS, density, strict=True):
                family.add_metric([spectrum.name, label, of], float(value))
    yield family


def cell_series(alarms: Iterable[Alarm]) -> Metric:
    """Return the share of each cell in the evidence of its alarm; they live as long as it."""
    family = GaugeMetricFamily(
        "calodqm_alarm_cell_ratio",
        "Share of a cell in the evidence of an open alarm.",
        labels=["place", "cell"],
    )
    strongest = sorted(alarms, key=lambda alarm: -alarm.log10_odds)[:MAX_ALARMS]
    shares: dict[tuple[str, str], float] = {}
    for alarm in strongest:
        for cell in alarm.cells:
            key = (alarm.place, cell.name)
            shares[key] = max(cell.share, shares.get(key, 0.0))
    for (place, name), share in shares.items():
        family.add_metric([place, name], share)
    return family
