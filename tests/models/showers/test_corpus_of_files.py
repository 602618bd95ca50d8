"""Laws of readers over a corpus: whatever a file is written like, it holds the same showers."""

from itertools import product

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_of_files import (
    CELLS,
    ENERGIES,
    ENERGY,
    ETA,
    GEOMETRY,
    LAYERS,
    LAYOUTS,
    NUMBERS,
    SHAPE,
    N,
    columns,
    holds,
    root,
    uproot,
    written,
)

from models.showers.layouts import Reading
from models.showers.readers import ReaderError, open_source


def both_orders(kinds):
    return [order + kind for order, kind in product("<>", kinds)]


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
