"""Channels: the read-out channels of a whole detector, and the patch of each that may be a seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry

MAX_CHANNELS = 1 << 20
"""A file that describes more is a mistake."""

MOST_ABSENCES = 32
"""Sets of cells that patches lack, of which an expectation of their own is learnt."""

ABSENT = -1
"""Stands in a patch for a cell that lies outside of the detector."""

CORE, NEAR, FAR = 0, 1, 2
"""Rings of a patch: the cell in the middle of a layer, its neighbours, the rest."""


AXES = ("x / mm", "y / mm")
"""What positions are along if nobody says."""


class ChannelsError(ValueError):
    """Channels that cannot be; the message says which and why, in one line."""


class PatchMap(Protocol):
    """Which channels the cells of a shower are, by the channel that it is centred on."""

    @property
    def may_seed(self) -> NDArray[np.bool_]:
        """Return which channels a patch can be centred on, shape (C,)."""
        ...

    @property
    def rings(self) -> NDArray[np.int8]:
        """Return the ring of each cell of a patch: 0 core, 1 near, 2 far, shape (V,)."""
        ...

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Return rows and columns of the patch in each layer; empty where they are not known."""
        ...

    def __call__(self, seeds: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Return the channel of each cell, `ABSENT` outside of the detector, shape (n, V)."""
        ...


@dataclass(frozen=True, eq=False)
class Channels:
    """The C channels of a detector; the id of a channel is its row here.

    Examples
    --------
    >>> from models.detector.grids import build
    >>> from models.detector.parts import GridLayer, Part
    >>> channels = build((Part("EB", (1, 2), (GridLayer("crystals", (3, 4), patch=(3, 3)),)),))
    >>> len(channels), channels.name(14), channels.find("EB2/3")
    (24, 'EB2/3', 14)
    >>> channels.patches(np.array([12], np.uint32)).reshape(3, 3).tolist()
    [[-1, -1, -1], [3, 12, 13], [7, 16, 17]]
    """

    layer: NDArray[np.int16]
    """Index of the layer that each channel is in, shape (C,)."""

    region: NDArray[np.int32]
    """Index of its region among the detector's regions, -1 for none, shape (C,)."""

    position: NDArray[np.float64]
    """Its centre along the two axes, shape (C, 2), finite."""

    size: NDArray[np.float64]
    """Its size along the two axes, shape (C, 2), > 0."""

    groups: Mapping[str, NDArray[np.int32]]
    """Channels that fail together, by the name of the group: a card, a high voltage, a row."""

    names: tuple[str, ...]
    """What people call each channel: one line, distinct, C of them."""

    layers: tuple[str, ...]
    """Names of the layers, in the order of the geometry."""

    patch_map: PatchMap

    axes: tuple[str, str] = AXES
    """What positions and sizes are along, with the unit."""

    def __post_init__(self) -> None:
        n = len(self.layer)
        if not 0 < n <= MAX_CHANNELS:
            raise ChannelsError(f"{n} channels: 1 to {MAX_CHANNELS} are possible")
        shapes = (self.region.shape, self.position.shape, self.size.shape, (len(self.names),))
        if shapes != ((n,), (n, 2), (n, 2), (n,)):
            raise ChannelsError(f"columns of {n} channels disagree: {shapes}")
        if not (self.layer.min() >= 0 and self.layer.max() < len(self.layers)):
            raise ChannelsError(f"layers must be indices into {self.layers}")
        if not (np.isfinite(self.position).all() and (self.size > 0).all()):
            raise ChannelsError("positions must be finite, sizes > 0")
        if not np.isfinite(self.size).all() or self.region.min() < -1:
            raise ChannelsError("sizes must be finite, regions indices or -1")
        self._check_names()
        self._check_groups()

    def _check_names(self) -> None:
        if len(self._by_name) != len(self.names):
            twice = next(n for i, n in enumerate(self.names) if self._by_name[n] != i)
            raise ChannelsError(f"two channels are named {twice!r}")
        for name in (*self.names, *self.groups, *self.layers):
            if not name or not name.isprintable():
                raise ChannelsError(f"a name must be of one line and not empty, not {name!r}")

    def _check_groups(self) -> None:
        for name, members in self.groups.items():
            if not len(members) or len(np.unique(members)) != len(members):
                raise ChannelsError(f"group {name!r}: one channel or more, each once")
            if not (members.min() >= 0 and members.max() < len(self)):
                raise ChannelsError(f"group {name!r}: channels are 0 to {len(self) - 1}")
            if name in self._by_name:
                raise ChannelsError(f"{name!r} is a channel and a group")

    def __len__(self) -> int:
        """Return C."""
        return len(self.layer)

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {name: channel for channel, name in enumerate(self.names)}

    def name(self, channel: int) -> str:
        """Return what people call a channel."""
        return self.names[channel]

    def find(self, name: str) -> int:
        """Return the channel of a name, the inverse of `name`.

        Raises
        ------
        ValueError
            If no channel has that name: one line that shows what names look like.
        """
        channel = self._by_name.get(name)
        if channel is None:
            raise ChannelsError(f"no channel is named {name!r}: names are like {self.names[0]}")
        return channel

    def knows(self, name: str) -> bool:
        """Return whether a channel or a group has that name."""
        return name in self._by_name or name in self.groups

    def members(self, name: str) -> NDArray[np.int64]:
        """Return the channels of a group, or the one channel, of a name.

        Raises
        ------
        ValueError
            If neither a group nor a channel has that name.
        """
        if name in self.groups:
            return self.groups[name].astype(np.int64)
        if name in self._by_name:
            return np.array([self._by_name[name]])
        groups = f", of groups like {next(iter(self.groups))}" if self.groups else ""
        raise ChannelsError(
            f"no channel or group is named {name!r}: names of channels are like "
            f"{self.names[0]}{groups}"
        )

    @cached_property
    def digest(self) -> str:
        """Return a hash of which channel is which: the same for the same file, anywhere."""
        told = hashlib.sha256(repr((self.layers, self.names, list(self.groups))).encode())
        columns = (self.layer, self.region, self.position, self.size, self.rings, self.may_seed)
        for array in (*columns, *self.groups.values()):
            told.update(np.ascontiguousarray(array).tobytes())
        return told.hexdigest()

    @property
    def may_seed(self) -> NDArray[np.bool_]:
        """Return which channels a patch can be centred on, shape (C,)."""
        return self.patch_map.may_seed

    @property
    def rings(self) -> NDArray[np.int8]:
        """Return the ring of each cell of a patch: 0 core, 1 near, 2 far, shape (V,)."""
        return self.patch_map.rings

    @property
    def n_cells(self) -> int:
        """Return V, the cells of a patch."""
        return len(self.rings)

    def patches(self, seeds: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Return the channel of each cell of the patches around some seeds, shape (n, V).

        It is `ABSENT` where a patch leaves the detector.

        Raises
        ------
        ValueError
            If a seed is no channel, or none that a patch can be centred on.
        """
        known = seeds < len(self)
        if not known.all():
            raise ChannelsError(f"seed {seeds[~known][0]}: channels are 0 to {len(self) - 1}")
        good = self.may_seed[seeds]
        if not good.all():
            name = self.name(int(seeds[~good][0]))
            raise ChannelsError(f"seed {seeds[~good][0]} ({name}): no patch is centred on it")
        return self.patch_map(seeds)

    @cached_property
    def absences(self) -> tuple[tuple[int, ...], ...]:
        """Return the sets of cells that patches lack at borders, those of most seeds first."""
        return self.lacking(np.zeros(len(self), np.bool_))

    def lacking(self, bad: NDArray[np.bool_]) -> tuple[tuple[int, ...], ...]:
        """Return the sets of cells that patches lack, those of most seeds first.

        Of very many sets only the first `MOST_ABSENCES`.

        Parameters
        ----------
        bad
            Channels that count as if they were not there, shape (C,); no shower is centred on one.
        """
        bad = np.append(bad, True)  # the last stands for no channel
        seeds = np.flatnonzero(self.may_seed & ~bad[:-1]).astype(np.uint32)
        parts = np.array_split(seeds, max(1, len(seeds) // 8192))  # bounded memory
        rows = np.concatenate([np.packbits(bad[self.patches(p)], axis=1) for p in parts])
        found, count = np.unique(rows[rows.any(axis=1)], axis=0, return_counts=True)
        most = found[np.argsort(-count, kind="stable")][:MOST_ABSENCES]
        cells = np.unpackbits(most, axis=1, count=self.n_cells)
        return tuple(tuple(np.flatnonzero(one).tolist()) for one in cells)

    def misfit(self, geometry: Geometry) -> str:
        """Return why the patches are not showers of a geometry, in one line; empty if they are."""
        names = tuple(layer.name for layer in geometry.layers)
        if self.layers != names:
            return f"the channels' layers are {self.layers}, those of {geometry.name} are {names}"
        for layer, shape in zip(geometry.layers, self.patch_map.shapes, strict=False):
            if shape != layer.shape:
                ours, theirs = (f"{rows} x {columns}" for rows, columns in (shape, layer.shape))
                return f"layer {layer.name}: patch {ours}, {theirs} cells in {geometry.name}"
        if self.n_cells != geometry.n_cells:
            return f"patches are of {self.n_cells} cells, {geometry.name} has {geometry.n_cells}"
        return ""
