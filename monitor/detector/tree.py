"""Tree: the tree of regions that fail as one, from a file of its own."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from models.detector import channel_files
from models.detector.channels import ChannelsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.detector.known_bad import KnownBad

MAX_REGIONS = 16_384

ELSEWHERE = "other"
"""What regions that the detector does not have are counted as."""


class Level(StrEnum):
    """How large a part of the detector a statement is about."""

    DETECTOR = "detector"
    SECTOR = "sector"
    REGION = "region"
    GROUP = "group"
    """Channels that fail together."""

    CHANNEL = "channel"


class DetectorError(ValueError):
    """A detector file that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the detector that fails as one: module, tower, supermodule."""

    id: int
    """What producers write in a record's `region`, in [0, 65535]."""

    name: str
    sector: str
    """The innermost sector that it lies in."""


@dataclass(frozen=True)
class Detector:
    """A named detector and its regions, grouped in sectors, which may lie in sectors themselves.

    Examples
    --------
    >>> detector = grid("calo", sectors=2, regions_per_sector=2)
    >>> [region.name for region in detector.regions]
    ['A1', 'A2', 'B1', 'B2']
    >>> detector.sectors
    {'A': (0, 1), 'B': (2, 3)}
    >>> Detector("calo", detector.regions, outer={"half": ("A", "B")}).sectors
    {'half': (0, 1, 2, 3), 'A': (0, 1), 'B': (2, 3)}
    """

    name: str
    regions: tuple[Region, ...]
    channels: Channels | None = field(default=None, compare=False, repr=False)
    """Its read-out channels, with regions by their index here; None where nothing is said."""

    known_bad: KnownBad | None = field(default=None, compare=False, repr=False)
    """Channels that are known to be bad; None where nothing is said."""

    outer: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False, repr=False)
    """Sectors of sectors: the sectors in each that has some. A sector lies in one at most."""

    def __post_init__(self) -> None:
        ids = [region.id for region in self.regions]
        names = [region.name for region in self.regions]
        if not self.name or not 0 < len(ids) <= MAX_REGIONS:
            raise DetectorError(f"a detector needs a name and 1 to {MAX_REGIONS} regions")
        if len(set(ids)) != len(ids) or len(set(names)) != len(names):
            raise DetectorError("region ids and names must be distinct")
        if not all(0 <= i <= 65_535 for i in ids):
            raise DetectorError("region ids must lie in [0, 65535]")
        sectors = [*(region.sector for region in self.regions), *self.outer]
        if not all(name.isprintable() for name in (self.name, *names, *sectors)):
            # They become labels, and before Prometheus 3 `.` in a matcher stops at a line's end.
            raise DetectorError("names of detector, sectors and regions must be of one line")
        if ELSEWHERE in {*names, *sectors}:
            raise DetectorError(f"{ELSEWHERE!r} is what regions of no detector are counted as")
        self._check_outer()
        if self.channels is not None:
            self._check_channels(self.channels)

    def _check_outer(self) -> None:
        own = {region.sector for region in self.regions}
        inner = Counter(name for names in self.outer.values() for name in names)
        for name, times in inner.items():
            if times > 1:
                raise DetectorError(f"sector {name!r} lies in two sectors, or twice in one")
            if name not in own and name not in self.outer:
                raise DetectorError(f"no region and no sector lies in sector {name!r}")
        for name, names in self.outer.items():
            if not names and name not in own:
                raise DetectorError(f"no region and no sector lies in sector {name!r}")
        # Whatever no region comes to on its way out lies in a circle.
        left = self.outer.keys() - {name for sector in own for name in self.path(sector)}
        if left:
            raise DetectorError(f"sector {min(left)!r} lies in itself")

    def _check_channels(self, channels: Channels) -> None:
        last = int(channels.region.max())
        if last >= len(self.regions):
            raise DetectorError(f"a channel names region {last} of {len(self.regions)}")
        nowhere = np.flatnonzero(channels.may_seed & (channels.region < 0))
        if len(nowhere):
            name = channels.name(int(nowhere[0]))
            raise DetectorError(f"channel {name} may be a seed but is in no region")

    @cached_property
    def region_of_seed(self) -> NDArray[np.int64] | None:
        """Return the region id of each channel that may be a seed, -1 for others, shape (C,).

        None if the detector says no channels.
        """
        if self.channels is None:
            return None
        ids = np.array([region.id for region in self.regions])
        return np.where(self.channels.may_seed, ids[self.channels.region], -1)

    @cached_property
    def ids(self) -> frozenset[int]:
        """Return the ids of its regions."""
        return frozenset(self.by_id)

    @cached_property
    def by_id(self) -> dict[int, Region]:
        """Return the regions by id."""
        return {region.id: region for region in self.regions}

    @cached_property
    def around(self) -> dict[str, str]:
        """Return the sector around each sector that lies in one."""
        return {name: out for out, names in self.outer.items() for name in names}

    def path(self, sector: str) -> tuple[str, ...]:
        """Return a sector and those around it, the outermost first."""
        path = [sector]
        while (out := self.around.get(path[-1])) is not None:
            if out in path:
                raise DetectorError(f"sector {out!r} lies in itself")
            path.append(out)
        return tuple(reversed(path))

    @cached_property
    def sectors(self) -> dict[str, tuple[int, ...]]:
        """Return the region ids of each sector, also of the sectors in it; outer before inner."""
        sectors: dict[str, list[int]] = {}
        for sector, regions in self.innermost.items():
            for name in self.path(sector):
                sectors.setdefault(name, []).extend(regions)
        order = {region.id: row for row, region in enumerate(self.regions)}
        return {name: tuple(sorted(ids, key=order.__getitem__)) for name, ids in sectors.items()}

    @cached_property
    def innermost(self) -> dict[str, tuple[int, ...]]:
        """Return the region ids of each sector that regions name, in order: each region once."""
        sectors: dict[str, list[int]] = {}
        for region in self.regions:
            sectors.setdefault(region.sector, []).append(region.id)
        return {name: tuple(ids) for name, ids in sectors.items()}

    def part(self, first: int, last: int) -> Detector:
        """Return the detector of some of the regions, by their index, without channels."""
        regions = self.regions[first:last]
        kept = {name for region in regions for name in self.path(region.sector)}
        found = {out: tuple(n for n in names if n in kept) for out, names in self.outer.items()}
        outer = {out: names for out, names in found.items() if out in kept and names}
        return Detector(self.name, regions, outer=outer)


def grid(name: str, sectors: int, regions_per_sector: int) -> Detector:
    """Return a detector of equal sectors A, B, ... with regions A1, A2, ..., ids from 0."""
    letters = [_letters(s) for s in range(sectors)]
    return Detector(
        name,
        tuple(
            Region(s * regions_per_sector + r, f"{letter}{r + 1}", letter)
            for s, letter in enumerate(letters)
            for r in range(regions_per_sector)
        ),
    )


def _letters(index: int) -> str:
    return (_letters(index // 26 - 1) if index >= 26 else "") + chr(ord("A") + index % 26)


def load(path: Path) -> Detector:
    """Return the detector of a TOML file.

    It has a `name` and one `[[region]]` table a region; `[sectors]` may name sectors of sectors. With read-out channels in rows and columns
    it has `[[part]]` tables instead, whose modules are the regions (`models.detector.grids`);
    with channels in tables, `[channels]` beside the regions (`models.detector.channel_tables`).

    Raises
    ------
    DetectorError
        If the file cannot be read or does not describe a detector.
    """
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        fields["outer"] = _outer(fields.pop("sectors", {}))
        about = {key: fields.pop(key) for key in channel_files.KEYS if key in fields}
        told = fields.pop("region") if "part" not in about else fields.pop("region", None)
        if not about:
            return Detector(regions=_regions(told), **fields)
        return _with_channels(fields, about, told, path.parent)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise DetectorError(f"{path}: {error}") from None
    except (DetectorError, ChannelsError, RecursionError) as error:  # a list of lists of lists ...
        raise DetectorError(f"{path}: {error}") from None


def _regions(told: list[dict[str, Any]]) -> tuple[Region, ...]:
    return tuple(Region(**region) for region in told)


def _outer(told: object) -> dict[str, tuple[str, ...]]:
    outer: dict[str, Any] = told if isinstance(told, dict) else {"": None}
    for names in outer.values():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DetectorError('[sectors] says which sectors lie in one: barrel = ["EB-", "EB+"]')
    return {out: tuple(names) for out, names in outer.items()}


def _with_channels(
    fields: dict[str, Any], about: dict[str, Any], told: Any, folder: Path
) -> Detector:
    axes = about.get("axes")
    if "part" not in about:
        if "channels" not in about:
            raise DetectorError("axes say nothing without [[part]] or [channels]")
        regions = _regions(told)
        names = [region.name for region in regions]
        channels = channel_files.of_tables(about["channels"], axes, folder, names)
        return Detector(regions=regions, channels=channels, **fields)
    if told is not None or "channels" in about:
        raise DetectorError("the regions of [[part]] are its modules: no [[region]], no [channels]")
    parts = channel_files.parts(about["part"])
    modules = [module for part in parts for module in part.regions]
    regions = tuple(Region(i, name, sector) for i, (name, sector) in enumerate(modules))
    return Detector(regions=regions, channels=channel_files.of_parts(parts, axes), **fields)
