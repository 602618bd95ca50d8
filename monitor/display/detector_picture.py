"""Detector picture: the channels of a detector as its file says them, layer by layer."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from monitor.detector.tree import Detector

REGION_COLOURS = ("#9ecae1", "#c6dbef", "#a1d99b", "#c7e9c0", "#fdd0a2", "#fee6ce")
"""Neighbours differ and nothing is loud: what is marked must stand out."""

RING_COLOURS = ("#b30000", "#e34a33", "#fdbb84")
"""Core, near and far cells of a patch: the darker, the nearer."""

MARK_COLOUR = "#54278f"
KNOWN_BAD_COLOUR = "#252525"
NAMED = 80
"""Regions up to which each is named in the picture."""

EDGED = 4000
"""Channels of a layer up to which each has an edge."""


class Marked(NamedTuple):
    """What is shown beside the regions."""

    seeds: NDArray[np.uint32]
    """Channels whose patches are drawn."""

    channels: NDArray[np.int64]
    """Channels that are marked."""

    known_bad: NDArray[np.int64]


def example_seeds(channels: Channels) -> NDArray[np.uint32]:
    """Return a seed in the middle of the detector, and one whose patch leaves it, if there is one."""
    seeds = np.flatnonzero(channels.may_seed)
    place = channels.position[seeds]
    span = np.maximum(np.ptp(place, axis=0), 1e-12)
    middle = (place.min(axis=0) + place.max(axis=0)) / 2
    order = seeds[np.argsort((((place - middle) / span) ** 2).sum(axis=1), kind="stable")]
    for part in np.array_split(order[::-1], max(1, len(order) // 4096)):
        outside = part[(channels.patches(part.astype(np.uint32)) < 0).any(axis=1)]
        if len(outside):
            return np.array([order[0], outside[0]], np.uint32)
    return order[:1].astype(np.uint32)


def png(detector: Detector, marked: Marked, *, dpi: int = 110) -> bytes:
    """Return the picture of a detector that says channels.

    Raises
    ------
    ValueError
        If it says none.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  takes half a second

    channels = detector.channels
    if channels is None:
        raise ValueError(f"detector {detector.name} says no channels")
    n = len(channels.layers)
    figure = Figure(figsize=(max(9, min(7 * n, 24)), 10), layout="constrained")
    figure.suptitle(f"{detector.name}: {len(channels):,} channels, {len(detector.regions)} regions")
    for index, name in enumerate(channels.layers):
        for row in range(2):
            axes = figure.add_subplot(2, n, row * n + index + 1)
            _draw_layer(axes, detector, channels, index, marked, named=row == 0)
            axes.set_xlabel(channels.axes[1])
            axes.set_ylabel(channels.axes[0])
            if row:
                _zoom(axes, channels, marked.seeds[0])
                axes.set_title(f"around {channels.name(int(marked.seeds[0]))}")
            else:
                axes.set_title(f"{name} ({int((channels.layer == index).sum()):,})")
    figure.supxlabel(
        "red: patches of two seeds, the darker the nearer; purple: marked; black: known bad",
        fontsize=9,
    )
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi)
    return out.getvalue()


def _draw_layer(
    axes: Axes, detector: Detector, channels: Channels, layer: int, marked: Marked, *, named: bool
) -> None:
    here = np.flatnonzero(channels.layer == layer)
    palette = np.array([*REGION_COLOURS, "#eeeeee"])
    region = channels.region[here]
    colours = palette[np.where(region < 0, len(REGION_COLOURS), region % len(REGION_COLOURS))]
    _fill(axes, channels, here, colours.tolist(), edges=len(here) <= EDGED or not named)
    patches = channels.patches(marked.seeds)
    for patch in patches:
        inside = (patch >= 0) & (channels.layer[patch] == layer)
        ring = [RING_COLOURS[r] for r in channels.rings[inside].tolist()]
        _fill(axes, channels, patch[inside], ring, edges=True)
    for chosen, colour in ((marked.known_bad, KNOWN_BAD_COLOUR), (marked.channels, MARK_COLOUR)):
        _fill(axes, channels, chosen[channels.layer[chosen] == layer], [colour], edges=False)
    if named and len(detector.regions) <= NAMED:
        for row in np.unique(region[region >= 0]).tolist():
            x, y = _middle(channels, here[region == row])
            axes.text(
                y, x, detector.regions[row].name, ha="center", va="center", fontsize=7, rotation=90
            )
    axes.autoscale_view()
    axes.margins(0.02)


def _zoom(axes: Axes, channels: Channels, seed: np.uint32) -> None:
    """Show the patch of a seed in all layers, and as much again around it."""
    patch = channels.patches(np.array([seed]))[0]
    patch = patch[patch >= 0]
    apart = np.abs(channels.position[patch] - channels.position[seed]) + channels.size[patch]
    # On the other side of where the detector closes, a cell is far away.
    half = 2 * np.median(apart, axis=0) + channels.size[patch].max(axis=0)
    place = channels.position[seed]
    axes.set_xlim(place[1] - half[1], place[1] + half[1])
    axes.set_ylim(place[0] - half[0], place[0] + half[0])


def _middle(channels: Channels, members: NDArray[np.int64]) -> tuple[float, float]:
    place = channels.position[members]
    x, y = (place.min(axis=0) + place.max(axis=0)) / 2
    return float(x), float(y)


def _fill(
    axes: Axes,
    channels: Channels,
    members: NDArray[np.integer],
    colours: Sequence[str],
    *,
    edges: bool,
) -> None:
    """Draw channels as rectangles: the second axis across, the first one up."""
    from matplotlib.collections import PolyCollection  # noqa: PLC0415  see `png`

    if not len(members):
        return
    half = channels.size[members] / 2
    low, high = channels.position[members] - half, channels.position[members] + half
    corners = [(low, low), (low, high), (high, high), (high, low)]
    polygons = np.stack(
        [np.stack([b[:, 1], a[:, 0]], axis=1) for a, b in corners],
        axis=1,
    )
    line = {"edgecolors": "white", "linewidths": 0.3} if edges else {"edgecolors": "face"}
    # An array is taken as it is; a list of polygons takes many times as long.
    axes.add_collection(
        PolyCollection(polygons, facecolors=colours, **line)  # type: ignore[arg-type]
    )


def told(detector: Detector) -> Iterator[str]:
    """Yield what a detector is, in lines."""
    sectors = len(detector.sectors)
    yield f"{detector.name}: {len(detector.regions)} regions in {sectors} sectors"
    channels = detector.channels
    if channels is None:
        yield "  channels: the file says none: sums are by cell of the patch"
        return
    for index, name in enumerate(channels.layers):
        here = np.flatnonzero(channels.layer == index)
        shape = dict(enumerate(channels.patch_map.shapes)).get(index)
        patch = "" if shape is None else f", patch {shape[0]} x {shape[1]}"
        names = (
            f"{channels.name(int(here[0]))} to {channels.name(int(here[-1]))}" if len(here) else ""
        )
        yield f"  layer {name}: {len(here):,} channels, {names}{patch}"
    kinds: dict[str, list[int]] = {}
    for name, members in channels.groups.items():
        kind = name.rpartition("/")[2].rstrip("0123456789") or name
        kinds.setdefault(kind, []).append(len(members))
    for kind, sizes in kinds.items():
        size = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
        yield f"  groups {kind}: {len(sizes):,} of {size} channels"
    seeds = np.flatnonzero(channels.may_seed).astype(np.uint32)
    parts = np.array_split(seeds, max(1, len(seeds) // 4096))
    edge = sum(int((channels.patches(part) < 0).any(axis=1).sum()) for part in parts)
    yield f"  seeds: {len(seeds):,}, the patches of {edge:,} leave the detector"
