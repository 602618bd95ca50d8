"""Shower files become showers or one honest line."""

import pickle

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.detector import files as geometries
from models.detector import geometry as geo
from models.detector.geometry import Geometry, GeometryError, Layer
from models.showers import shipped, tables
from models.showers.batch import concatenate
from models.showers.readers import ReaderError, open_source, read

uproot = pytest.importorskip("uproot")

PB_LAR = shipped.PB_LAR
SMALL = Geometry(
    "small",
    (
        Layer("front", (2, 3), (5.0, 5.0), (0.0, 10.0)),
        Layer("back", (1, 2), (9.0, 9.0), (10.0, 30.0)),
    ),
    noise_mev=1.0,
)
N = 7


@pytest.fixture
def cells():
    return np.random.default_rng(1).normal(0, 5, (N, 8)).astype(np.float32)


@pytest.fixture
def energy():
    return np.linspace(1000, 7000, N, dtype=np.float32)


def write(path, **columns):
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file[name] = values
    return path


def test_the_shipped_showers_are_read_whole():
    showers = read(PB_LAR / "mu.h5", geometries.load(geometries.SHIPPED / "pb-lar-504.json"))
    assert showers.cells.shape == (500, 504)
    assert np.all((showers.e_inc >= 1000) & (showers.e_inc <= 20_000))


def test_a_calochallenge_file_is_read_with_its_stream_columns(tmp_path, cells, energy):
    path = write(
        tmp_path / "a.h5",
        showers=cells,
        incident_energies=energy[:, None],
        region=np.arange(N),
        run=np.full(N, 7),
        lumisection=np.full(N, 3),
        time=np.arange(N) * 0.5,
        pileup=np.full((N, 1), 30.0),
        event_id=np.arange(N),
    )
    recording = open_source(path, SMALL).whole()
    np.testing.assert_array_equal(recording.showers.cells, cells)
    np.testing.assert_array_equal(recording.showers.e_inc, energy)
    assert set(recording.showers.conditions) == {"pileup"}
    np.testing.assert_array_equal(recording.region, np.arange(N))
    np.testing.assert_array_equal(recording.time, np.arange(N) * 500_000_000)
    assert (recording.run[0], recording.lumisection[0]) == (7, 3)


def test_a_calogan_file_is_read_in_mev(tmp_path, cells, energy):
    path = write(
        tmp_path / "gamma.hdf5",
        layer_0=cells[:, :6].reshape(N, 2, 3).astype(np.float64),
        layer_1=cells[:, 6:].reshape(N, 1, 2),
        energy=energy[:, None] / 1000,
        overflow=np.ones((N, 2)),
    )
    showers = read(path, SMALL)
    np.testing.assert_allclose(showers.cells, cells)
    np.testing.assert_allclose(showers.e_inc, energy, rtol=1e-6)
    assert not showers.conditions


def test_an_unknown_energy_is_nan(tmp_path, cells):
    assert np.isnan(read(write(tmp_path / "a.h5", showers=cells), SMALL).e_inc).all()


def test_parquet_gives_the_same_showers_as_hdf5(tmp_path, cells, energy):
    lists = [
        pa.FixedSizeListArray.from_arrays(pa.array(cells.ravel()), 8),
        pa.array(cells.tolist(), pa.list_(pa.float32())),
    ]
    for column in lists:
        table = pa.table(
            {"showers": column, "e_inc": energy, "region": pa.array(range(N), pa.int32())}
        )
        pq.write_table(table, tmp_path / "a.parquet", row_group_size=3)
        recording = open_source(tmp_path / "a.parquet", SMALL).whole()
        np.testing.assert_array_equal(recording.showers.cells, cells)
        np.testing.assert_array_equal(recording.showers.e_inc, energy)
        np.testing.assert_array_equal(recording.region, np.arange(N))


def test_a_parquet_column_of_structs_is_no_column_and_no_condition(tmp_path, cells, energy):
    columns = {
        "pos": pa.array([{"x": 1.0, "y": 2.0}] * N),
        "hits": pa.array([[{"x": 1.0}]] * N),
        "showers": pa.array(cells.tolist(), pa.list_(pa.float32())),
        "track": pa.array([[{"z": [1.0, 2.0]}] * 2] * N),
        "e_inc": pa.array(energy),
        "eta": pa.array(energy / 1e4),
        "pos.x": pa.array(energy / 1e3),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=3)
    recording = open_source(tmp_path / "a.parquet", SMALL).whole()
    np.testing.assert_array_equal(recording.showers.cells, cells)
    assert set(recording.showers.conditions) == {"eta", "pos.x"}
    np.testing.assert_array_equal(recording.showers.conditions["eta"], energy / np.float32(1e4))
    np.testing.assert_array_equal(recording.showers.conditions["pos.x"], energy / np.float32(1e3))


def test_parquet_ranges_in_order_read_each_row_group_once_a_column(tmp_path, cells, energy):
    showers = pa.array(cells.tolist(), pa.list_(pa.float32()))
    table = pa.table({"showers": showers, "e_inc": energy, "eta": energy})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=3)
    source = open_source(tmp_path / "a.parquet", SMALL)
    read_row_group, reads = source.table._file.read_row_group, []

    class Counting:
        def read_row_group(self, group, columns):
            reads.append((group, *columns))
            return read_row_group(group, columns=columns)

    source.table._file = Counting()
    parts = list(source.chunks(2))
    np.testing.assert_array_equal(np.concatenate([p.showers.cells for p in parts]), cells)
    assert sorted(reads) == [(g, c) for g in range(3) for c in ("e_inc", "eta", "showers")]


def test_files_with_different_conditions_share_those_that_all_have(tmp_path, cells, energy):
    parts = [
        read(write(tmp_path / f"{i}.h5", showers=cells, pileup=energy, **more), SMALL)
        for i, more in enumerate(({"eta": energy}, {}, {"phi": energy}))
    ]
    for batches in (parts, parts[::-1]):
        assert set(concatenate(batches).conditions) == {"pileup"}
    both = concatenate([parts[0], parts[0]])
    assert set(both.conditions) == {"pileup", "eta"}
    assert both.conditions["eta"].shape == (2 * N,)


@pytest.mark.parametrize("jagged", [False, True])
def test_a_root_tree_gives_the_same_showers_as_hdf5(tmp_path, cells, energy, jagged):
    import awkward as ak

    showers = ak.Array(cells.tolist()) if jagged else cells
    with uproot.recreate(tmp_path / "a.root") as file:
        columns = {"showers": showers, "incident_energies": energy, "eta": energy / 1e4}
        file.mktree("other", {"x": "i4"})
        tree = file.mktree(
            "events",
            {k: getattr(v, "type", None) or (v.dtype, v.shape[1:]) for k, v in columns.items()},
        )
        tree.extend(columns)
    recording = open_source(tmp_path / "a.root", SMALL).whole()
    np.testing.assert_array_equal(recording.showers.cells, cells)
    np.testing.assert_array_equal(recording.showers.e_inc, energy)
    np.testing.assert_allclose(recording.showers.conditions["eta"], energy / 1e4)


def test_chunks_add_up_to_the_file(tmp_path, cells, energy):
    path = write(tmp_path / "a.h5", showers=cells, incident_energies=energy)
    source = open_source(path, SMALL)
    parts = list(source.chunks(3))
    assert [part.showers.n for part in parts] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([p.showers.cells for p in parts]), cells)


def nan(cells):
    return np.where(np.arange(8) == 4, np.nan, cells)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (lambda c, _: {"showers": nan(c)}, "finite"),
        (lambda c, _: {"showers": c.astype(np.float64) * 1e300}, "finite"),
        (lambda c, _: {"showers": c[:, :7]}, r"\(7, 7\), but geometry small has 8 cells"),
        (lambda c, _: {"showers": c.reshape(N, 2, 4)}, "has shape"),
        (lambda c, e: {"showers": c, "incident_energies": e[:3]}, "beside 7 showers"),
        (lambda c, e: {"showers": c, "incident_energies": -e}, "e_inc must lie"),
        (lambda c, _: {"showers": c, "region": np.full(N, 70_000)}, "do not fit uint16"),
        (lambda c, _: {"showers": c, "region": np.full(N, -1)}, "do not fit uint16"),
        (lambda c, _: {"showers": c, "run": np.full(N, 1.5)}, "whole numbers"),
        (lambda c, _: {"showers": c, "time": np.full(N, np.nan)}, "do not fit int64"),
        (lambda c, _: {"showers": c, "eta": np.full(N, np.inf)}, "'eta' must be"),
        (lambda c, _: {"layer_0": c[:, :6].reshape(N, 2, 3)}, "layers"),
        (lambda c, _: {"data": c}, "neither `showers` nor `layer_0`, but data"),
        (lambda c, _: {"showers": np.array([b"abc"] * N)}, "no numeric columns"),
        (lambda c, _: {"showers": c[:0]}, "holds no showers"),
    ],
)
def test_impossible_showers_are_refused_in_one_line(tmp_path, cells, energy, columns, says):
    path = write(tmp_path / "bad.h5", **columns(cells, energy))
    with pytest.raises(ReaderError, match=says) as caught:
        read(path, SMALL)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not HDF5, Parquet or ROOT"),
        (pickle.dumps({"showers": 1}), "pickle"),
        (b"\x93NUMPY\x01\x00", "numpy"),
        (b"PK\x03\x04zzzz", "numpy or torch"),
        (b"PAR1 and no more", "Parquet, but damaged"),
        (b"root\x00\x00\xf0\x00 and no more", "ROOT, but damaged"),
        (b"\x89HDF\r\n\x1a\n and no more", "HDF5, but damaged"),
    ],
)
def test_a_file_in_disguise_is_refused_whatever_its_name(tmp_path, content, says):
    path = tmp_path / "showers.h5"
    path.write_bytes(content)
    with pytest.raises(ReaderError, match=says) as caught:
        read(path, SMALL)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused_in_one_line(tmp_path):
    with pytest.raises(ReaderError, match="No such file"):
        read(tmp_path / "none.h5", SMALL)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_truncated_file_is_refused_in_one_line(tmp_path, share):
    whole = (PB_LAR / "mu.h5").read_bytes()
    path = tmp_path / "cut.h5"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ReaderError, match="damaged or truncated"):
        read(path, geometries.load(geometries.SHIPPED / "pb-lar-504.json"))


def test_damage_in_the_data_is_refused_in_one_line(tmp_path):
    content = bytearray((PB_LAR / "mu.h5").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4000] = bytes(4000)
    path = tmp_path / "damaged.h5"
    path.write_bytes(content)
    with pytest.raises(ReaderError, match="damaged"):
        read(path, geometries.load(geometries.SHIPPED / "pb-lar-504.json"))


def test_a_link_to_another_file_is_not_followed(tmp_path, cells):
    write(tmp_path / "secret.h5", showers=cells)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["showers"] = h5py.ExternalLink("secret.h5", "showers")
    with pytest.raises(ReaderError, match="no numeric columns"):
        read(tmp_path / "link.h5", SMALL)
    (tmp_path / "raw").write_bytes(bytes(N * 8 * 4))
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        raw = [(str(tmp_path / "raw"), 0, N * 8 * 4)]
        file.create_dataset("showers", (N, 8), "f4", external=raw)
    with pytest.raises(ReaderError, match="another file"):
        read(tmp_path / "raw.h5", SMALL)


def test_sizes_are_checked_before_memory_is_taken(tmp_path, monkeypatch):
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:  # a few kB that claim 32 TB of showers
        file.create_dataset("showers", (10**12, 8), "f4", chunks=(1024, 8), compression="gzip")
    with pytest.raises(ReaderError, match="in chunks"):
        read(path, SMALL)
    monkeypatch.setattr(tables, "MAX_PIECE", 1000)
    with pytest.raises(ReaderError, match="chunks"):
        open_source(path, SMALL)


BINNING = """<Bins><!-- two layers with cells -->
<Bin pid="22" etaMin="0" etaMax="130" name="photon">
<Layer id="0" r_edges="0,5,10,30" n_bin_alpha="4" />
<Layer id="1" r_edges="0" n_bin_alpha="0" />
<Layer id="2" r_edges="0,20,60" n_bin_alpha="1" />
</Bin></Bins>"""


def test_a_calochallenge_binning_becomes_a_polar_geometry(tmp_path):
    path = tmp_path / "binning.xml"
    path.write_text(BINNING)
    geometry = geometries.load(path)
    assert [layer.name for layer in geometry.layers] == ["layer_0", "layer_2"]
    assert [layer.shape for layer in geometry.layers] == [(4, 3), (1, 2)]
    radius = np.hypot(*geometry.centres[:, :2].T)
    np.testing.assert_allclose(radius[:12], np.tile([2.5, 7.5, 20], 4))
    np.testing.assert_allclose(radius[12:], 0)
    assert geo.parse(geometry.to_json()) == geometry


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><Bins/>', "document type"),
        ("<Bins>", "not XML"),
        ("<Bins/>", "one element Bin"),
        (BINNING.replace("r_edges", "r"), "lacks"),
        (BINNING.replace("0,5,10,30", "0,5,5,30"), "must rise"),
        (BINNING.replace('"4"', '"99999999999"'), "cells"),
    ],
)
def test_a_binning_that_cannot_be_is_refused(tmp_path, text, says):
    path = tmp_path / "binning.xml"
    path.write_text(text)
    with pytest.raises(GeometryError, match=says):
        geometries.load(path)
