"""Laws of readers over a corpus: whatever a file is written like, it holds the same showers."""

from itertools import cycle, product

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.detector.geometry import Geometry, Layer
from models.showers.layouts import Reading
from models.showers.readers import ReaderError, open_source

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


def both_orders(kinds):
    return [order + kind for order, kind in product("<>", kinds)]


def holds(path, **said):
    """Assert that a file holds the showers of the corpus."""
    file = open_source(path, GEOMETRY, Reading(conditions=("eta",), **said))
    found = file.rows(0, file.n).showers
    np.testing.assert_array_equal(found.cells, CELLS)
    np.testing.assert_array_equal(found.e_inc, ENERGY)
    np.testing.assert_array_equal(found.conditions["eta"], ETA)
    parts = list(file.chunks(4))
    np.testing.assert_array_equal(np.concatenate([p.showers.cells for p in parts]), CELLS)


HDF5_STORAGE = {
    "contiguous": {},
    "one chunk": {"chunks": (N,)},
    "gzip": {"chunks": (3,), "compression": "gzip"},
    "shuffled": {"chunks": (3,), "compression": "gzip", "shuffle": True},
    "lzf": {"chunks": (3,), "compression": "lzf"},
    "checked": {"chunks": (4,), "fletcher32": True},
    "by column": {"chunks": None, "compression": "gzip"},
}


def hdf5(path, content, storage="contiguous", at=""):
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            options = dict(HDF5_STORAGE[storage])
            if storage == "by column":
                options["chunks"] = (N, *(1 for _ in values.shape[1:]))
            elif "chunks" in options:
                options["chunks"] = (*options["chunks"], *values.shape[1:])
            file.create_dataset(f"{at}{name}", data=values, **options)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_hdf5_of_every_type_byte_order_and_storage(tmp_path, layout):
    kinds = both_orders(NUMBERS), both_orders(ENERGIES)
    for storage, content in written(layout, HDF5_STORAGE, *kinds):
        holds(hdf5(tmp_path / "a.h5", content, storage))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_hdf5_in_groups_behind_links_and_as_records(tmp_path, layout):
    holds(hdf5(tmp_path / "a.h5", columns(layout), at="run/events/"))
    path = hdf5(tmp_path / "b.h5", columns(layout), at="hidden/")
    with h5py.File(path, "a") as file:
        data = file.create_group("data")
        for name in file["hidden"]:
            data[name] = h5py.SoftLink(f"/hidden/{name}")
    holds(path, table="data")
    content = columns(layout, shape="row")
    kind = [(name, v.dtype, v.shape[1:]) for name, v in content.items()]
    records = np.empty(N, kind)
    for name, values in content.items():
        records[name] = values
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["events"] = records
    holds(tmp_path / "c.h5")


ARROW_LISTS = {
    "lists": lambda v: pa.array(v.tolist(), nested(pa.list_, v)),
    "large lists": lambda v: pa.array(v.tolist(), nested(pa.large_list, v)),
    "fixed": lambda v: pa.array(v.tolist(), nested(None, v)),
}
PARQUET_STORAGE = {
    "plain": {"compression": "none", "use_dictionary": False},
    "snappy": {"compression": "snappy", "row_group_size": 3},
    "gzip": {"compression": "gzip", "row_group_size": 1},
    "zstd": {"compression": "zstd", "data_page_version": "2.0"},
    "lz4": {"compression": "lz4", "data_page_size": 64},
    "brotli": {"compression": "brotli", "version": "1.0"},
}


def nested(make, values):
    kind = pa.from_numpy_dtype(values.dtype)
    for length in values.shape[:0:-1]:
        kind = pa.list_(kind, length) if make is None else make(kind)
    return kind


def parquet(path, content, lists="lists", storage="plain"):
    table = {name: ARROW_LISTS[lists](values) for name, values in content.items()}
    pq.write_table(pa.table(table), path, **PARQUET_STORAGE[storage])
    return path


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_parquet_of_every_type_list_and_compression(tmp_path, layout):
    ways = list(product(ARROW_LISTS, PARQUET_STORAGE))
    for (lists, storage), content in written(layout, ways, NUMBERS, ENERGIES):
        halves = any(values.dtype == np.float16 for values in content.values())
        way = "plain" if halves and storage == "brotli" else storage  # format 1 has no halves
        holds(parquet(tmp_path / "a.parquet", content, lists, way))


def test_parquet_columns_of_kinds_that_only_arrow_has(tmp_path):
    showers = pa.array(CELLS.tolist(), pa.list_(pa.float32()))
    required = pa.list_(pa.field("element", pa.float32(), nullable=False))
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(CELLS.reshape(N, LAYERS, *SHAPE))
    energies = {
        "decimal": pa.array(ENERGY.astype(int)).cast(pa.decimal128(22, 3)),
        "dictionary": pa.array(ENERGY).dictionary_encode(),
        "plain": pa.array(ENERGY),
    }
    for lists, energy in product((showers, showers.cast(required), tensors), energies.values()):
        table = pa.table({"showers": lists, "incident_energies": energy, "eta": ETA})
        pq.write_table(table, tmp_path / "a.parquet")
        holds(tmp_path / "a.parquet")
    table = pa.table({"showers": showers, "incident_energies": ENERGY, "eta": ETA})
    pq.write_table(table.slice(2), tmp_path / "b.parquet")
    assert open_source(tmp_path / "b.parquet", GEOMETRY).n == N - 2


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


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_root_of_every_type_and_compression(tmp_path, layout):
    # ROOT has no halves.
    kinds = ([kind for kind in of if kind != "f2"] for of in (NUMBERS, ENERGIES))
    for storage, content in written(layout, ROOT_STORAGE, *kinds):
        holds(root(tmp_path / "a.root", content, storage=storage))


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_root_as_vectors_as_an_ntuple_and_in_directories(tmp_path, layout):
    for shape in ENERGY_SHAPES:
        content = columns(layout, shape=shape)
        for cells in ("f4", "f8", "i4"):
            holds(root(tmp_path / "n.root", columns(layout, cells, shape=shape), "ntuple"))
        if max(values.ndim for values in content.values()) <= 2:  # what uproot can write
            holds(root(tmp_path / "v.root", content, "vector"))
        for at in ("ana/events", "events/events", "a/b/c"):
            holds(root(tmp_path / "d.root", content, at=at))


def test_the_newest_cycle_of_a_tree_is_the_tree(tmp_path):
    path = tmp_path / "a.root"
    content = columns("flat", shape="row")
    types = {name: (v.dtype, v.shape[1:]) for name, v in content.items()}
    with uproot.recreate(path) as file:
        for n in (3, 7, N):
            file.mktree("events", types).extend({name: v[:n] for name, v in content.items()})
        assert len(file.keys()) == 3
    holds(path)


def test_of_several_trees_somebody_says_which(tmp_path):
    path = tmp_path / "a.root"
    content = columns("flat", shape="row")
    types = {name: (v.dtype, v.shape[1:]) for name, v in content.items()}
    with uproot.recreate(path) as file:
        file.mktree("few", types).extend({name: v[:3] for name, v in content.items()})
        file.mktree("all", types).extend(content)
        file.mktree("other", {"x": "i4"}).extend({"x": np.arange(3)})
    with pytest.raises(ReaderError, match="showers in `few` and `all`: say which by --table"):
        open_source(path, GEOMETRY)
    holds(path, table="all")
    with pytest.raises(ReaderError, match="no showers in 'other', but in few, all"):
        open_source(path, GEOMETRY, Reading(table="other"))


@pytest.mark.parametrize("layout", ["flat", "blocks", "calogan"])
def test_energies_of_other_names_or_places_are_asked_about(tmp_path, layout):
    content = columns(layout, shape="row")
    energy = content.pop("incident_energies")

    def asked(path, name):
        with pytest.raises(ReaderError, match=f"`{name}`.*: say --energy {name}"):
            open_source(path, GEOMETRY)
        holds(path, energy=name)
        unknown = open_source(path, GEOMETRY, Reading(energy="none"))
        assert np.isnan(unknown.rows(0, N).showers.e_inc).all()

    # A file each: one that could not be opened is let go when Python collects it.
    names = ("incident_energy", "Incident_Energies", "E_inc_", "truth/incident_energies")
    for i, name in enumerate(names):
        asked(hdf5(tmp_path / f"{i}.h5", {**content, name: energy}), name)
    asked(parquet(tmp_path / "a.parquet", {**content, "true_energy": energy}), "true_energy")
    path = root(tmp_path / "a.root", content)
    with uproot.update(path) as file:
        file.mktree("truth", {"incident_energies": "f4"}).extend({"incident_energies": energy})
    asked(path, "truth/incident_energies")


def test_calogan_energies_are_gev_by_their_own_name_and_mev_by_others(tmp_path):
    content = columns("calogan")
    content["energy"] = content.pop("incident_energies") / 1000
    holds(hdf5(tmp_path / "a.h5", {**content, "overflow": np.ones((N, 2))}))
    content["e_inc"] = content.pop("energy") * 1000
    holds(hdf5(tmp_path / "b.h5", content))
    flat = columns("flat")
    flat["energy"] = flat.pop("incident_energies") / 1000
    path = hdf5(tmp_path / "c.h5", flat)
    with pytest.raises(ReaderError, match="say --energy energy"):
        open_source(path, GEOMETRY)
    holds(path, energy="energy", energies_unit="GeV")


def test_units_are_those_that_somebody_says(tmp_path):
    content = columns("flat", "f8", "f8")
    content["showers"], content["incident_energies"] = (
        CELLS / 1e3,
        content["incident_energies"] / 1e6,
    )
    path = hdf5(tmp_path / "a.h5", content)
    file = open_source(path, GEOMETRY, Reading(cells_unit="GeV", energies_unit="TeV"))
    found = file.rows(0, N).showers
    np.testing.assert_allclose(found.cells, CELLS, rtol=1e-6)
    np.testing.assert_allclose(found.e_inc, ENERGY, rtol=1e-6)


@pytest.mark.parametrize("container", ["hdf5", "parquet", "root", "ntuple"])
@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("showers", np.nan, "`showers` is not finite .* in row 6: cell 5 is nan"),
        ("incident_energies", -3.0, "`incident_energies` is not in .* in row 6: -3"),
        ("eta", np.inf, "`eta` is not finite in row 6: inf"),
    ],
)
def test_what_cannot_be_is_told_by_file_column_and_row_in_every_container(
    tmp_path, container, column, value, says
):
    content = columns("flat", shape="row")
    content[column] = content[column].copy()
    content[column].reshape(N, -1)[6, 5 if column == "showers" else 0] = value
    path = tmp_path / "file"
    if container == "ntuple":
        root(path, content, "ntuple")
    else:
        {"hdf5": hdf5, "parquet": parquet, "root": root}[container](path, content)
    with pytest.raises(ReaderError, match=f"^{path}: {says}"):
        list(open_source(path, GEOMETRY, Reading(conditions=("eta",))).chunks(4))
    kept = open_source(path, GEOMETRY, Reading(conditions=("eta",), skip_bad=True))
    rows = np.concatenate([part.row for part in kept.chunks(4)])
    assert rows.tolist() == [row for row in range(N) if row != 6]


def test_a_block_with_its_axes_in_another_order_is_refused(tmp_path):
    turned = CELLS.reshape(N, LAYERS, *SHAPE).transpose(0, 3, 2, 1)
    content = {**columns("flat"), "showers": np.ascontiguousarray(turned)}
    for path in (
        hdf5(tmp_path / "a.h5", content),
        parquet(tmp_path / "a.parquet", content),
        root(tmp_path / "a.root", content),
        root(tmp_path / "n.root", content, "ntuple"),
    ):
        with pytest.raises(ReaderError, match="has shape"):
            open_source(path, GEOMETRY)
