"""Shower files become showers or one honest line."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shower_files import PB_LAR, SMALL, N, recording, write

from models.detector import files as geometries
from models.showers.batch import Showers, concatenate
from models.showers.readers import ReaderError, open_source, read


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
