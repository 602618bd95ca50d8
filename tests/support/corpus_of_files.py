"""A corpus of shower files: the same showers in every layout, type, order and storage."""

from itertools import cycle, product

import numpy as np
import pytest

from models.detector.geometry import Geometry, Layer
from models.showers.layouts import Reading
from models.showers.readers import open_source

uproot = pytest.importorskip("uproot")
ak = pytest.importorskip("awkward")
N, LAYERS, SHAPE = 11, 3, (2, 4)
GEOMETRY = Geometry(
    "block",
    tuple(Layer(f"l{i}", SHAPE, (5.0, 5.0), (10.0 * i, 10.0 * i + 10)) for i in range(LAYERS)),
    noise_mev=1.0,
)
V = GEOMETRY.n_cells
RNG = np.random.default_rng(1)
CELLS = RNG.integers(-9, 100, (N, V)).astype(np.float32)  # whole: every type holds them
ENERGY = RNG.integers(1, 2000, N).astype(np.float32)
ETA = np.arange(N, dtype=np.float32)
NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8")
ENERGIES = ("f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8")
LAYOUTS = {
    "flat": lambda c: {"showers": c},
    "blocks": lambda c: {"showers": c.reshape(N, LAYERS, *SHAPE)},
    "layers": lambda c: {"showers": c.reshape(N, LAYERS, -1)},
    "calogan": lambda c: {
        f"layer_{i}": c[:, i * 8 : i * 8 + 8].reshape(N, *SHAPE) for i in range(LAYERS)
    },
    "calogan flat": lambda c: {f"layer_{i}": c[:, i * 8 : i * 8 + 8] for i in range(LAYERS)},
}
ENERGY_SHAPES = {"column": lambda e: e[:, None], "row": lambda e: e}


def columns(layout, cells="f4", energy="f4", shape="column"):
    """Return the columns of a layout; CaloGAN's energies are in GeV, but by their own name."""
    values = ENERGY_SHAPES[shape](ENERGY.astype(energy))
    return {**LAYOUTS[layout](CELLS.astype(cells)), "incident_energies": values, "eta": ETA}


def written(layout, storages, cells, energies):
    """Yield ways to store, and the columns of a layout in every type.

    Of the flat layout, all ways with all types of cells; of the others, each way in turn: how a
    file is packed and how its rows are shaped are read by other code.
    """
    if layout == "flat":
        types = product(storages, cells, ENERGY_SHAPES)
    else:
        pairs = product(cells, ENERGY_SHAPES)
        types = ((storage, *pair) for storage, pair in zip(cycle(storages), pairs, strict=False))
    for storage, kind, shape in types:
        yield storage, columns(layout, kind, shape=shape)
    for storage, energy in zip(cycle(storages), energies, strict=False):
        yield storage, columns(layout, energy=energy, shape="row")


def holds(path, **said):
    """Assert that a file holds the showers of the corpus."""
    file = open_source(path, GEOMETRY, Reading(conditions=("eta",), **said))
    found = file.rows(0, file.n).showers
    np.testing.assert_array_equal(found.cells, CELLS)
    np.testing.assert_array_equal(found.e_inc, ENERGY)
    np.testing.assert_array_equal(found.conditions["eta"], ETA)
    parts = list(file.chunks(4))
    np.testing.assert_array_equal(np.concatenate([p.showers.cells for p in parts]), CELLS)


ROOT_STORAGE = {
    "none": None,
    "zlib": uproot.ZLIB(4),
    "lzma": uproot.LZMA(3),
    "lz4": uproot.LZ4(4),
    "zstd": uproot.ZSTD(3),
}


def root(path, content, kind="array", at="events", storage="zlib"):
    with uproot.recreate(path, compression=ROOT_STORAGE[storage]) as file:
        if kind == "vector":
            content = {n: ak.Array(v.tolist()) if v.ndim > 1 else v for n, v in content.items()}
        if kind == "ntuple":
            file.mkrntuple(at, {n: ak.Array(v) for n, v in content.items()})
            return path
        types = {
            name: v.type if isinstance(v, ak.Array) else (v.dtype, v.shape[1:])
            for name, v in content.items()
        }
        tree = file.mktree(at, types)
        for rows in (slice(0, 4), slice(4, N)):  # two baskets
            tree.extend({name: v[rows] for name, v in content.items()})
    return path
