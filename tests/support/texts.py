"""Decoders of what people write, in files and in a line: see `decoders`."""

from __future__ import annotations

import atexit
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import golden
from standings import DETECTOR

from models.detector import calochallenge, channel_files, geometry, known_bad
from models.detector import files as geometry_files
from models.detector.channels import ChannelsError
from models.detector.geometry import GeometryError
from models.simulation import fault_form
from monitor.detector import tree
from monitor.detector.tree import DetectorError
from monitor.quality.acknowledgements import MaskError, parse_masks

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BARREL = tree.load(ROOT / "deploy" / "detectors" / "barrel.toml")
FOLDER = Path(mkdtemp(prefix="calodqm-decoders-"))
atexit.register(shutil.rmtree, FOLDER)


def _file(value: bytes) -> Path:
    """Return a file that holds bytes, the same each time: these decoders read files."""
    path = FOLDER / "file"
    path.write_bytes(value)
    return path


def detectors(value: bytes) -> None:
    """Read what may be a detector file, and the channels that it says."""
    with suppress(DetectorError):
        tree.load(_file(value))
    with suppress(ChannelsError):
        channel_files.load(_file(value))


def geometries(value: bytes) -> None:
    """Read what may be a geometry, ours or one of the CaloChallenge."""
    text = value.decode(errors="replace")
    for parse in (geometry.parse, calochallenge.parse):
        with suppress(GeometryError):
            parse(text)


def known_bads(value: bytes) -> None:
    """Read what may be a table of channels that are known to be bad."""
    assert BARREL.channels is not None
    with suppress(ChannelsError):
        known_bad.load(_file(value), BARREL.channels)


def masks(value: bytes) -> None:
    """Read what people may write for a mask, where there are channels and where there are none."""
    text = value.decode(errors="replace")
    for detector in (DETECTOR, BARREL):
        with suppress(MaskError):
            parse_masks(text, detector, golden.GEOMETRY)


def faults(value: bytes) -> None:
    """Read what people may write for a fault."""
    with suppress(ValueError):
        fault_form.parse(value.decode(errors="replace"), {"B2": 5}, lambda _: True)


DECODERS = (detectors, geometries, known_bads, masks, faults)


def _detectors() -> Iterator[bytes]:
    shipped = (ROOT / "deploy" / "detectors").glob("*.toml")
    yield from (path.read_bytes() for path in shipped)
    yield b'name = "calo"\n' + b"".join(
        f'[[region]]\nid = {i}\nname = "A{i}"\nsector = "A"\n'.encode() for i in range(3)
    )
    yield b'name = "a"\nregion = ' + b"[" * 5000


def _geometries() -> Iterator[bytes]:
    yield from (path.read_bytes() for path in geometry_files.SHIPPED.glob("*.json"))
    yield b"[" * 5000
    layer = '<Layer id="0" r_edges="0,5,10" n_bin_alpha="2"/>'
    yield f'<Bins><Bin pid="22" name="photon">{layer}</Bin></Bins>'.encode()


def _known_bads() -> Iterator[bytes]:
    head = b"channel,from,until,cause\n"
    yield head + b"EB-12/34,2026-01-01,,dead\nEB-1/1,,2026-01-01T10:00:00Z,hot\n"
    yield head + b"EB-1/1,0001-01-01,9999-12-31,x\n"


def _masks() -> Iterator[bytes]:
    yield from (
        b"A3",
        b"B2:middle[5,6]",
        b"A1:front[0,0];front[0,1]",
        b"EB-12/34",
        b"EB-1/1;EB-1/2",
    )


def _faults() -> Iterator[bytes]:
    yield from (b"gain:region=B2,x=0.3", b"gain:region=B2,x=0.1@40", b"dead:region=B2@10-20")


SEEDS = {
    "detectors": _detectors,
    "geometries": _geometries,
    "known_bads": _known_bads,
    "masks": _masks,
    "faults": _faults,
}
