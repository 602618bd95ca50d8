"""Shower files as commands are given them: units, names, bad rows and memory, told before the work."""

import argparse

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny

from consumers.cli import reading
from consumers.cli.command import main
from consumers.cli.commands import simulate
from consumers.cli.reading import Files
from consumers.wire.user_error import UserError
from models.showers import readers

N = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tiny.artefact().save(path)
    return path


@pytest.fixture
def good():
    return tiny.showers("gamma_test", N)


def write(path, cells, e_inc, name="incident_energies", **more):
    path.unlink(missing_ok=True)  # one that was read is let go late
    with h5py.File(path, "w") as file:
        file["showers"] = cells
        if e_inc is not None:
            file[name] = e_inc
        for key, values in more.items():
            file[key] = values
    return path


def apply(model, path, *words):
    out = path.with_suffix(".scores.parquet")
    code = main(["apply", str(path), "--artefact", str(model), "--out", str(out), *words])
    return code, pq.read_table(out) if code == 0 else None


def last_line(capsys):
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("cells", "energies", "unit"),
    [
        (1e-3, 1.0, ["cells=GeV"]),
        (1.0, 1e-3, ["energies=GeV"]),
        (1e-3, 1e-3, ["GeV"]),
        (1e-3, 1e-6, ["cells=GeV", "energies=TeV"]),
    ],
)
def test_other_units_are_refused_and_read_with_a_word(
    tmp_path, model, good, capsys, cells, energies, unit
):
    _, expected = apply(model, write(tmp_path / "mev.h5", good.cells, good.e_inc))
    other = write(
        tmp_path / "a.h5", good.cells.astype("f8") * cells, good.e_inc.astype("f8") * energies
    )
    capsys.readouterr()
    assert apply(model, other)[0] == 2
    told = last_line(capsys)
    assert str(other) in told
    assert "--unit" in told
    words = [word for text in unit for word in ("--unit", text)]
    code, table = apply(model, other, *words)
    assert code == 0
    np.testing.assert_allclose(table["p"].to_numpy(), expected["p"].to_numpy(), rtol=1e-3)
    assert apply(model, other, "--unit", "MeV")[0] == 0  # somebody's word


@pytest.mark.parametrize("words", [["--unit", "eV"], ["--unit", "mass=GeV"]])
def test_units_that_there_are_not_are_refused(tmp_path, model, good, capsys, words):
    path = write(tmp_path / "a.h5", good.cells, good.e_inc)
    assert apply(model, path, *words)[0] == 2
    assert "--unit" in last_line(capsys)


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_no_work_begins_on_cells_in_gev(tmp_path, model, good, capsys, command):
    path = str(write(tmp_path / "a.h5", good.cells / 1000, good.e_inc))
    words = {
        "train": ["train", path, "--out", str(tmp_path / "x")],
        "evaluate": ["evaluate", "--artefact", str(model), "--good", path],
    }
    assert main(words[command]) == 2
    assert "noise of quiet cells" in last_line(capsys)


def test_how_many_energies_are_known_is_told(tmp_path, model, good, capsys):
    some = np.where(np.arange(N) < 20, np.nan, good.e_inc).astype(np.float32)
    for e_inc, says in (
        (good.e_inc, "all incident energies known"),
        (some, "incident energies known of 40"),
        (None, "no incident energy known"),
    ):
        path = write(tmp_path / "a.h5", good.cells, e_inc)
        words = ["evaluate", "--artefact", str(model), "--good", str(path)]
        assert main([*words, "--no-faults", "--no-windows"]) == 0
        assert f"{path}: {N} showers, {says}" in capsys.readouterr().err
    apply(model, write(tmp_path / "b.h5", good.cells, some))
    assert "incident energies known of 40" in capsys.readouterr().out


def test_a_name_that_is_nearly_right_is_asked_about(tmp_path, model, good, capsys):
    path = write(tmp_path / "a.h5", good.cells, good.e_inc, "incident_energy")
    assert apply(model, path)[0] == 2
    assert "--energy incident_energy" in last_line(capsys)
    _, table = apply(model, path, "--energy", "incident_energy")
    np.testing.assert_array_equal(table["e_inc"].to_numpy(), good.e_inc)
    assert apply(model, path, "--energy", "none")[1]["e_inc"].null_count == N


def test_a_bad_row_is_named_or_a_null_row_in_its_place(tmp_path, model, good, capsys):
    cells = good.cells.copy()
    cells[[17, 41], 300] = np.nan
    path = write(tmp_path / "a.h5", cells, good.e_inc, run=np.arange(N), time=np.arange(N) * 0.5)
    assert apply(model, path)[0] == 2
    assert f"{path}: `showers` is not finite" in (told := last_line(capsys))
    assert "in row 17: cell 300 is nan; --skip-bad" in told
    code, table = apply(model, path, "--skip-bad")
    assert code == 0
    assert "2 of 60 rows left out (2: `showers` is not finite" in last_line(capsys)
    assert table.column_names[:3] == ["run", "time", "e_inc"]
    for column in ("p", "e_inc", "run", "score_block"):
        assert table[column].is_null().to_pylist() == [row in {17, 41} for row in range(N)]
    whole = apply(model, write(tmp_path / "b.h5", good.cells, good.e_inc))[1]["p"].to_numpy()
    kept = np.delete(np.arange(N), [17, 41])
    np.testing.assert_array_equal(table["p"].to_numpy()[kept], whole[kept])
    assert table["time"].cast(pa.int64())[2].as_py() == 10**9


def test_what_apply_writes_it_reads(tmp_path, model, good):
    some = np.where(np.arange(N) < 20, np.nan, good.e_inc).astype(np.float32)
    path = write(tmp_path / "a.h5", good.cells, some, run=np.arange(N), region=np.arange(N) % 4)
    _, first = apply(model, path)
    cells = pa.FixedSizeListArray.from_arrays(pa.array(good.cells.ravel()), 504)
    pq.write_table(first.append_column("showers", cells), tmp_path / "again.parquet")
    _, second = apply(model, tmp_path / "again.parquet")
    assert first.equals(second)


def test_bad_rows_are_counted_and_left_out_of_training_and_evaluation(
    tmp_path, model, good, capsys
):
    e_inc = good.e_inc.copy()
    e_inc[[3, 9]] = 0
    path = str(write(tmp_path / "a.h5", good.cells, e_inc))
    words = ["evaluate", "--artefact", str(model), "--good", path, "--no-faults", "--no-windows"]
    assert main(words) == 2
    assert "`incident_energies` is not in (0, 1e+09] MeV in row 3: 0" in last_line(capsys)
    assert main([*words, "--skip-bad"]) == 0
    told = capsys.readouterr()
    assert "58 good showers" in told.out
    assert "2 of 60 rows left out" in told.err


def test_memory_is_that_of_all_files_of_a_command(tmp_path, model, good, capsys, monkeypatch):
    path = str(write(tmp_path / "a.h5", good.cells, good.e_inc))
    other = str(write(tmp_path / "b.h5", good.cells, good.e_inc))
    monkeypatch.setattr(readers, "MAX_BYTES", good.cells.nbytes * 3 // 2)
    words = ["evaluate", "--artefact", str(model), "--good", path, "--no-faults", "--no-windows"]
    assert main(words) == 0
    capsys.readouterr()
    assert main([*words, "--anomaly", f"other={other}"]) == 2
    assert "in 2 files" in last_line(capsys)


def test_cells_are_read_where_they_stay(tmp_path):
    import tracemalloc

    cells = np.zeros((20_000, 504), np.float32)
    path = write(tmp_path / "a.h5", cells, np.ones(20_000))
    files = Files.open([path], tiny.GEOMETRY)
    tracemalloc.start()
    found = files.pool([path])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.n == 20_000
    assert peak < 2 * cells.nbytes  # the cells, and a chunk twice


def test_simulate_mirrors_as_the_model_was_taught(tmp_path, good):
    from consumers.app import environment

    path = tmp_path / "clean.h5"
    for noise, images in ((0.0, 4), (1.0, 1)):
        write(path, good.cells, good.e_inc)
        with h5py.File(path, "a") as file:
            file.attrs["noise_mev"] = noise
        tiny.artefact().save(tmp_path / "model")
        parser = argparse.ArgumentParser()
        simulate.add_arguments(parser)
        args = parser.parse_args(["--source", str(path), "--rate", "10"])
        given = environment.load({"artefact": tmp_path / "model"}, {})
        beam = simulate.make_beam(args, given)
        assert len(beam.images) == images
        assert beam.pool.clean.all() == (noise == 0)


def test_options_are_typed_again_as_they_were():
    parser = argparse.ArgumentParser()
    reading.add_arguments(parser)
    typed = ["--unit", "cells=GeV", "--unit", "energies=TeV", "--energy", "E", "--skip-bad"]
    args = parser.parse_args(typed)
    assert parser.parse_args(reading.words(args)) == args
    with pytest.raises(UserError, match="NAME=FILE"):
        reading.named(["x"], "--anomaly")
