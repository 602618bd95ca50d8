"""Files of showers that say their seeds: what lies outside of the detector counts in no score."""

import json
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from consumers.app import environment
from consumers.cli.checking import Checker
from consumers.cli.command import main
from consumers.wire.arrow_form import encode
from consumers.wire.block import Block
from models.detector import channel_files
from models.scoring.artefact import Artefact
from models.simulation import whole

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
ARTEFACT = ROOT / "models" / "artefacts" / "barrel-flux"
DETECTOR = ROOT / "deploy" / "detectors" / "barrel.toml"
N = 120


@pytest.fixture(scope="module")
def artefact():
    return Artefact.load(ARTEFACT)


@pytest.fixture(scope="module")
def channels():
    return channel_files.load(DETECTOR)


@pytest.fixture(scope="module")
def showers(artefact, channels):
    """Return showers, half of them at the edge of the barrel."""
    rng = np.random.default_rng(5)
    pool = whole.simulated_pool(channels, artefact.geometry, rng.uniform(1e3, 5e4, N), rng)
    edge = np.flatnonzero((channels.patches(np.arange(20, dtype=np.uint32)) < 0).any(axis=1))
    inner = np.arange(600, 600 + N // 2)
    seeds = np.concatenate([np.resize(edge, N - len(inner)), inner]).astype(np.uint32)
    return whole.anywhere(channels, artefact.geometry, pool).read(seeds, rng)


def written(path, showers, cells, **more):
    with h5py.File(path, "w") as file:
        file["incident_energies"] = showers.e_inc[:, None]
        file["showers"] = cells
        for name, values in ({"seed": showers.seeds} | more).items():
            file[name] = values
    return path


@pytest.fixture(scope="module")
def files(showers, channels, tmp_path_factory):
    """Return a file as it was read, and one with something in cells that do not exist."""
    folder = tmp_path_factory.mktemp("seeds")
    absent = channels.patches(showers.seeds) < 0
    assert absent.any(axis=1).sum() > N // 4
    full = np.where(absent, np.float32(7000), showers.cells)
    return (
        written(folder / "as_read.h5", showers, showers.cells),
        written(folder / "full.h5", showers, full),
    )


def applied(file, out, *words):
    told = ["apply", str(file), f"--artefact={ARTEFACT}", f"--out={out}", *words]
    assert main(told) == 0
    return pq.read_table(out)


def test_apply_scores_a_shower_at_a_border_by_the_cells_that_are_there(
    files, showers, channels, artefact, tmp_path
):
    p = [
        applied(file, tmp_path / "p.parquet", f"--detector={DETECTOR}")["p"].to_numpy()
        for file in files
    ]
    assert np.array_equal(*p, equal_nan=True)
    inner = ~(channels.patches(showers.seeds) < 0).any(axis=1)
    plain = artefact.scorer("cpu").score(showers).p_combined
    assert np.allclose(p[0][inner], plain[inner], equal_nan=True)
    assert np.mean(p[0][~inner] < 0.01) < 0.1  # a third of them, were absent cells taken as read


def test_apply_tells_the_seed_of_each_row(files, showers, tmp_path):
    table = applied(files[0], tmp_path / "p.parquet", f"--detector={DETECTOR}")
    assert np.array_equal(table["seed"].to_numpy(), showers.seeds)


def test_evaluate_measures_what_is_there(files, tmp_path):
    told = []
    for file in files:
        out = tmp_path / "told.json"
        words = [f"--artefact={ARTEFACT}", f"--good={file}", f"--json={out}", "--no-windows"]
        assert main(["evaluate", *words, "--no-faults", "--images", f"--detector={DETECTOR}"]) == 0
        told.append(json.loads(out.read_text())["calibration"])
    assert told[0] == told[1]


def test_what_is_known_to_be_bad_is_left_out_too(files, showers, channels, tmp_path, monkeypatch):
    seed = int(showers.seeds[-1])
    bad = tmp_path / "bad.csv"
    bad.write_text(f"channel,from,until,cause\n{channels.name(seed)},,,dead\n")
    words = ("--detector", str(DETECTOR))
    before = applied(files[0], tmp_path / "p.parquet", *words)["p"].to_numpy()
    monkeypatch.setenv("CALODQM_KNOWN_BAD", str(bad))
    after = applied(files[0], tmp_path / "p.parquet", *words)["p"].to_numpy()
    near = (channels.patches(showers.seeds) == seed).any(axis=1)
    assert not np.isclose(before[near], after[near]).any()
    assert np.array_equal(before[~near], after[~near], equal_nan=True)


def test_seeds_that_nobody_explains_are_named(files, tmp_path, capsys):
    table = applied(files[0], tmp_path / "p.parquet")
    assert "its seeds are not used: no detector file (--detector)" in capsys.readouterr().err
    assert "seed" not in table.column_names


def test_a_seed_that_is_no_channel_is_refused_in_one_line(files, showers, tmp_path, capsys):
    wrong = showers.seeds.copy()
    wrong[7] = 61_200
    file = written(tmp_path / "wrong.h5", showers, showers.cells)
    with h5py.File(file, "r+") as h5:
        h5["seed"][:] = wrong
    words = ["apply", str(file), f"--artefact={ARTEFACT}", f"--out={tmp_path / 'p.parquet'}"]
    assert main([*words, f"--detector={DETECTOR}"]) == 2
    *_, error = capsys.readouterr().err.strip().splitlines()
    assert error.endswith("wrong.h5: `seed` 61200 in row 7 is no channel that may be one")
    assert not (tmp_path / "p.parquet.partial").exists()


def test_a_detector_of_other_patches_is_refused(files, tmp_path, capsys):
    words = ["apply", str(files[0]), f"--artefact={ARTEFACT}", f"--out={tmp_path / 'p.parquet'}"]
    assert main([*words, f"--detector={DETECTOR.with_name('sampling.toml')}"]) == 2
    assert "the channels' layers are" in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_record_of_good_showers_at_a_border_is_not_strange(artefact, channels):
    rng = np.random.default_rng(6)
    pool = whole.simulated_pool(channels, artefact.geometry, rng.uniform(1e3, 5e4, 300), rng)
    first = np.arange(20, dtype=np.uint32)  # a row of crystals at the edge
    showers = whole.anywhere(channels, artefact.geometry, pool).read(rng.choice(first, 300), rng)
    ones, now = np.ones(showers.n, np.int64), 1_780_000_000 * 10**9
    block = Block(
        showers, np.arange(showers.n).astype(np.uint64), ones * now, ones, ones,
        channels.region[showers.seeds].astype(np.int64), "daq", 0,
    )  # fmt: skip
    told = {"artefact": ARTEFACT, "detector": DETECTOR}
    checker = Checker.of(environment.load(told, {}))
    checked = checker.check("record", encode(block, artefact.geometry), now + 10**9)
    assert checked.look is not None
    assert checked.look.strange < 0.03  # four in ten, were absent cells taken as read
