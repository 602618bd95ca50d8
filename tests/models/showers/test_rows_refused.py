"""Rows and columns that hold no showers are named, refused, or left out and counted."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shower_files import SMALL, N, recording, write

from models.showers.layouts import Reading
from models.showers.readers import ReaderError, gather, open_source
from models.showers.recordings import left_out


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
