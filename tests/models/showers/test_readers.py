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
from models.showers import hdf5, readers, shipped
from models.showers.batch import Showers, concatenate
from models.showers.layouts import Reading
from models.showers.readers import ReaderError, gather, open_source, read
from models.showers.recordings import left_out

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


def recording(path, *conditions, **said):
    file = open_source(path, SMALL, Reading(conditions=conditions, **said))
    return file.rows(0, file.n)


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
    found = recording(path, "pileup", stream=True)
    np.testing.assert_array_equal(found.showers.cells, cells)
    np.testing.assert_array_equal(found.showers.e_inc, energy)
    assert set(found.showers.conditions) == {"pileup"}
    np.testing.assert_array_equal(found.stream["region"], np.arange(N))
    np.testing.assert_array_equal(found.stream["time"], np.arange(N) * 500_000_000)
    assert (found.stream["run"][0], found.stream["lumisection"][0]) == (7, 3)


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
    found = recording(tmp_path / "a.parquet", "eta", "pos.x").showers
    np.testing.assert_array_equal(found.cells, cells)
    np.testing.assert_array_equal(found.conditions["eta"], energy / np.float32(1e4))
    np.testing.assert_array_equal(found.conditions["pos.x"], energy / np.float32(1e3))
    with pytest.raises(ReaderError, match="`pos` holds struct"):
        recording(tmp_path / "a.parquet", "pos")


def test_a_row_group_as_large_as_the_file_is_read_a_few_rows_at_a_time(tmp_path, cells, energy):
    table = pa.table({"showers": pa.array(cells.tolist()), "e_inc": energy})
    pq.write_table(table, tmp_path / "a.parquet")
    parts = list(open_source(tmp_path / "a.parquet", SMALL).chunks(2))
    assert max(part.showers.n for part in parts) == 2
    read_back = np.concatenate([part.showers.cells for part in parts])
    np.testing.assert_array_equal(read_back, cells)


@pytest.mark.parametrize("size", [1, 3])
def test_a_range_of_rows_is_that_range(tmp_path, cells, energy, size):
    table = pa.table({"showers": pa.array(cells.tolist()), "e_inc": energy})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=size)
    file = open_source(tmp_path / "a.parquet", SMALL)
    for start in range(N):
        for stop in range(start + 1, N + 1):
            found = file.rows(start, stop)
            np.testing.assert_array_equal(found.showers.e_inc, energy[start:stop])
            np.testing.assert_array_equal(found.row, np.arange(start, stop))


def test_batches_with_different_conditions_share_those_that_all_have(cells, energy):
    parts = [
        Showers(cells, energy, {"pileup": energy, **more})
        for more in ({"eta": energy}, {}, {"phi": energy})
    ]
    for batches in (parts, parts[::-1]):
        assert set(concatenate(batches).conditions) == {"pileup"}
    both = concatenate([parts[0], parts[0]])
    assert set(both.conditions) == {"pileup", "eta"}
    assert both.conditions["eta"].shape == (2 * N,)


def test_chunks_add_up_to_the_file(tmp_path, cells, energy):
    path = write(tmp_path / "a.h5", showers=cells, incident_energies=energy)
    source = open_source(path, SMALL)
    parts = list(source.chunks(3))
    assert [part.showers.n for part in parts] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([p.showers.cells for p in parts]), cells)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (lambda c, _: {"showers": c[:, :7]}, r"\(7, 7\), but geometry small has 8 cells"),
        (lambda c, _: {"showers": c.reshape(N, 2, 4)}, "has shape"),
        (lambda c, e: {"showers": c, "incident_energies": e[:3]}, "3 rows beside 7 showers"),
        (lambda c, e: {"showers": c, "e_inc": np.tile(e[:, None], 2)}, "one number for each"),
        (lambda c, e: {"showers": c, "e_inc": e.astype("S9")}, "`e_inc` holds text"),
        (lambda c, e: {"showers": c, "e_inc": np.ones(N, bool)}, "`e_inc` holds bool"),
        (lambda c, _: {"layer_0": c[:, :6].reshape(N, 2, 3)}, "layers"),
        (lambda c, _: {"layer_0": c[:, :6], "layer_1": c[:3, 6:]}, "`layer_1` has 3 rows"),
        (lambda c, _: {"data": c}, "neither `showers` nor `layer_0`, but data"),
        (lambda c, _: {"showers": np.array([b"abc"] * N)}, "`showers` holds text"),
        (lambda c, _: {"text": np.array([b"abc"] * N)}, "no numeric columns"),
        (lambda c, _: {"showers": c[:0]}, "holds no showers"),
        (lambda c, _: {"a/showers": c, "b/showers": c}, "in `a` and `b`: say which by --table"),
    ],
)
def test_columns_that_hold_no_showers_are_refused_in_one_line(
    tmp_path, cells, energy, columns, says
):
    path = write(tmp_path / "bad.h5", **columns(cells, energy))
    with pytest.raises(ReaderError, match=says) as caught:
        open_source(path, SMALL)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def at_4(values, value):
    changed = np.array(values)
    changed.reshape(N, -1)[4, -1] = value
    return changed


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("showers", np.nan, "`showers` is not finite .* in row 4: cell 7 is nan"),
        ("showers", 1e300, "`showers` is not finite .* in row 4: cell 7 is inf"),
        ("showers", -2e9, "`showers` is not finite .* in row 4: cell 7 is -2e"),
        ("e_inc", 0.0, r"`e_inc` is not in \(0, .* in row 4: 0"),
        ("e_inc", -1.0, r"`e_inc` is not in \(0, .* in row 4: -1"),
        ("e_inc", np.inf, r"`e_inc` is not in \(0, .* in row 4: inf"),
        ("region", 70_000, "`region` does not fit uint16 in row 4: 70000"),
        ("region", -1, "`region` does not fit uint16 in row 4: -1"),
        ("time", -5, "`time` does not fit int64 in row 4"),
        ("eta", np.inf, "`eta` is not finite in row 4: inf"),
    ],
)
def test_a_row_that_is_no_shower_is_named_or_left_out_and_counted(
    tmp_path, cells, energy, name, value, says
):
    columns = {
        "showers": cells.astype(np.float64),
        "e_inc": energy.astype(np.float64),
        "eta": energy.astype(np.float64),
        "region": np.arange(N),
        "time": np.arange(N) + 10**18,
    }
    path = write(tmp_path / "a.h5", **{**columns, name: at_4(columns[name], value)})
    with pytest.raises(ReaderError, match=says) as caught:
        recording(path, "eta", stream=True)
    assert str(caught.value).startswith(f"{path}: ")
    found = recording(path, "eta", stream=True, skip_bad=True)
    np.testing.assert_array_equal(found.row, [0, 1, 2, 3, 5, 6])
    np.testing.assert_array_equal(found.showers.cells, cells[found.row])
    np.testing.assert_array_equal(found.stream["region"], found.row)
    told = left_out(found.bad, N)
    assert told.startswith("1 of 7 rows left out (1: `" + name)


def test_what_nobody_asks_for_is_never_in_the_way(tmp_path, cells, energy):
    path = write(
        tmp_path / "a.h5",
        showers=cells,
        incident_energies=energy,
        chi2=np.full(N, 1e300),
        weight=np.full(N, np.nan),
        run=np.full(N, 1.5),
        time=np.full(N, np.nan),
        label=np.array([b"x"] * N),
        few=np.ones(3),
    )
    np.testing.assert_array_equal(read(path, SMALL).e_inc, energy)
    table = {"showers": pa.array(cells.tolist()), "incident_energies": energy}
    table["hits"] = pa.array([[1.0] * (i % 3) for i in range(N)])
    table["flag"] = pa.array([None, *range(N - 1)])
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    np.testing.assert_array_equal(read(tmp_path / "a.parquet", SMALL).e_inc, energy)


def test_files_of_which_no_row_is_a_shower_say_why(tmp_path, cells):
    path = write(tmp_path / "a.h5", showers=cells * np.nan)
    with pytest.raises(ReaderError, match="no row holds a shower: `showers` is not finite"):
        gather([open_source(path, SMALL, Reading(skip_bad=True))])


def test_a_null_energy_is_unknown_and_a_null_shower_is_none(tmp_path, cells, energy):
    path = tmp_path / "a.parquet"
    for kind in (pa.list_(pa.float32()), pa.list_(pa.float32(), 8)):
        showers = pa.array([*cells[:5].tolist(), None, cells[6].tolist()], kind)
        e_inc = pa.array([None, *energy[1:].tolist()])
        try:
            pq.write_table(pa.table({"showers": showers, "e_inc": e_inc}), path)
        except pa.ArrowNotImplementedError:  # before pyarrow 26 there are no such files
            continue
        with pytest.raises(ReaderError, match="`showers` is null in row 5"):
            recording(path)
        found = recording(path, skip_bad=True).showers
        np.testing.assert_array_equal(np.isnan(found.e_inc), [True] + 5 * [False])
        np.testing.assert_array_equal(found.cells, cells[[0, 1, 2, 3, 4, 6]])


def test_lists_of_unequal_length_are_named_by_row(tmp_path, cells, energy):
    path = tmp_path / "a.parquet"
    lists = cells.tolist()
    lists[3] = lists[3][:5]
    pq.write_table(pa.table({"showers": pa.array(lists), "e_inc": energy}), path)
    with pytest.raises(ReaderError, match="`showers` has 5 values, not 8 in row 3"):
        recording(path)
    assert recording(path, skip_bad=True).showers.n == N - 1


def test_empty_tables_say_that_they_are_empty(tmp_path, cells, energy):
    for showers in (
        pa.array(cells.tolist()),
        pa.FixedSizeListArray.from_arrays(pa.array(cells.ravel()), 8),
    ):
        table = pa.table({"showers": showers, "e_inc": energy})
        pq.write_table(table.slice(0, 0), tmp_path / "a.parquet")
        with pytest.raises(ReaderError, match="holds no showers"):
            open_source(tmp_path / "a.parquet", SMALL)


def test_a_filter_that_hdf5_lacks_is_named(tmp_path, cells, energy):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["incident_energies"] = energy
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk(cells.shape)
        plist.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (2, 2, 4, cells.nbytes, 5, 1, 0))
        space = h5py.h5s.create_simple(cells.shape)
        made = h5py.h5d.create(file.id, b"showers", h5py.h5t.IEEE_F32LE, space, plist)
        made.write_direct_chunk((0, 0), cells.tobytes()[:100], 0)
    with pytest.raises(ReaderError, match=r"filter 32001 \(blosc\).*hdf5plugin"):
        open_source(path, SMALL)


def test_whole_numbers_that_are_seconds_are_no_nanoseconds(tmp_path, cells):
    for size, unit in ((1, "seconds"), (1000, "milliseconds"), (10**6, "microseconds")):
        times = (np.arange(N) + 1_700_000_000) * size
        path = write(tmp_path / f"{unit}.h5", showers=cells, time=times)
        with pytest.raises(ReaderError, match=f"look like {unit}"):
            recording(path, stream=True)
    path = write(tmp_path / "a.h5", showers=cells, time=np.arange(N) + 1_700_000_000.5)
    found = recording(path, stream=True).stream["time"]
    np.testing.assert_array_equal(found, (np.arange(N) * 2 + 3_400_000_001) * 500_000_000)


@pytest.mark.parametrize("old", [False, True])
def test_timestamps_of_parquet_keep_their_nanoseconds(tmp_path, cells, old):
    times = np.arange(N) * 10**9 + 1_700_000_000_123_456_789
    column = pa.array(times).cast(pa.timestamp("ns", "UTC"))
    table = pa.table({"showers": pa.array(cells.tolist()), "time": column})
    pq.write_table(table, tmp_path / "a.parquet", use_deprecated_int96_timestamps=old)
    found = recording(tmp_path / "a.parquet", stream=True).stream["time"]
    np.testing.assert_array_equal(found, times)


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
    with pytest.raises(ReaderError, match="`showers` holds a link to another file"):
        read(tmp_path / "link.h5", SMALL)
    with h5py.File(tmp_path / "soft.h5", "w") as file:
        file["out"] = h5py.ExternalLink("secret.h5", "/")
        file["showers"] = h5py.SoftLink("/out/showers")
        file["e_inc"] = h5py.SoftLink("e_inc")
    with pytest.raises(ReaderError, match="`showers` holds a link to another file"):
        read(tmp_path / "soft.h5", SMALL)
    (tmp_path / "raw").write_bytes(bytes(N * 8 * 4))
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        raw = [(str(tmp_path / "raw"), 0, N * 8 * 4)]
        file.create_dataset("showers", (N, 8), "f4", external=raw)
    with pytest.raises(ReaderError, match="another file"):
        read(tmp_path / "raw.h5", SMALL)


def test_the_limit_on_memory_is_for_all_files_together(tmp_path, monkeypatch, cells):
    files = [open_source(write(tmp_path / f"{i}.h5", showers=cells), SMALL) for i in range(3)]
    monkeypatch.setattr(readers, "MAX_BYTES", cells.nbytes * 2)
    assert gather(files[:2]).counts == (N, N)
    with pytest.raises(ReaderError, match="in 3 files"):
        gather(files)


def test_sizes_are_checked_before_memory_is_taken(tmp_path, monkeypatch):
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:  # a few kB that claim 32 TB of showers
        file.create_dataset("showers", (10**12, 8), "f4", chunks=(1024, 8), compression="gzip")
    with pytest.raises(ReaderError, match="32000 GB of cells"):
        read(path, SMALL)
    monkeypatch.setattr(hdf5, "MAX_PIECE", 1000)
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
