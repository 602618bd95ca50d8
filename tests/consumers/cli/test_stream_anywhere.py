"""A stream of a whole detector: seeds everywhere, faults that stay with their channels."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tiny
from pyarrow import parquet

from consumers.app import environment
from consumers.cli import command
from consumers.cli.commands import simulate
from consumers.cli.stream import Stream
from consumers.wire.block import Expected
from consumers.wire.codec import decode
from models.detector.files import SHIPPED, load
from models.fitting.recipe import prepare
from models.fitting.training import Session
from models.showers.pool import Pool
from models.simulation.sources import open_source
from monitor.detector import tree

DETECTOR = tree.load(Path(__file__).parents[3] / "deploy" / "detectors" / "barrel.toml")
GEOMETRY = load(SHIPPED / "crystals-25.json")
GFLASH = "gflash:gamma,n=200,low=5000,high=20000,seed=3"


@cache
def small():
    """Return an artefact of patches of crystals; its quality is none."""
    file = open_source(Path("gflash:gamma,n=1200,low=4000,high=21000,seed=4"), GEOMETRY)
    good = file.rows(0, file.n).showers
    recipe = replace(tiny.RECIPE, options=replace(tiny.RECIPE.options, flips=()))
    return prepare(recipe, Pool(good, np.zeros(good.n, np.bool_)), GEOMETRY, Session())


def beam(tmp_path, *words):
    """Return the beam of a command line, as the command makes it."""
    artefact = tmp_path / "artefact"
    if not artefact.exists():
        small().save(artefact)
    given = [
        "simulate", "--source", GFLASH, "--rate", "2000", "--seconds", "2", "--data-time-start",
        "2026-11-25T12:00:00Z", "--artefact", str(artefact), "--detector",
        str(Path(__file__).parents[3] / "deploy" / "detectors" / "barrel.toml"), *words,
    ]  # fmt: skip
    args = command.parser(given).parse_args(given)
    return simulate.make_beam(args, environment.from_arguments(args))


def blocks(made):
    expected = Expected(frozenset(DETECTOR.by_id), region_of_seed=DETECTOR.region_of_seed)
    return [decode(sent.value, GEOMETRY, expected=expected) for sent in Stream(made)]


@pytest.mark.slow
def test_showers_are_everywhere_and_lie_in_the_region_of_their_seed(tmp_path):
    sent = blocks(beam(tmp_path))
    seeds = np.concatenate([block.showers.seeds for block in sent])
    assert len(seeds) > 3000
    assert len(np.unique(DETECTOR.channels.region[seeds])) == 36
    assert len(np.unique(seeds)) > 0.9 * len(seeds)


@pytest.mark.slow
def test_a_dead_card_is_dead_and_is_never_a_seed(tmp_path):
    made = beam(tmp_path, "--fault", "dead:channel=EB+12/card7@0", "--rate", "20000")
    dead = DETECTOR.channels.members("EB+12/card7")
    near = 0
    for block in blocks(made):
        patches = DETECTOR.channels.patches(block.showers.seeds)
        struck = np.isin(patches, dead)
        near += struck.sum()
        assert not block.showers.cells[struck].any()
        assert not np.isin(block.showers.seeds, dead).any()
    assert near > 100


@pytest.mark.slow
def test_the_truth_is_written_and_is_what_the_seed_makes(tmp_path):
    path = tmp_path / "truth.parquet"
    made = beam(tmp_path, "--spread", "gain=0.01,noise=0.1", "--truth", str(path))
    truth = parquet.read_table(path).to_pydict()
    assert truth["name"][:2] == ["EB-1/1", "EB-1/2"]
    assert np.std(truth["gain"]) == pytest.approx(0.01, rel=0.02)
    assert np.mean(truth["noise_mev"]) == pytest.approx(40, rel=0.01)
    assert np.asarray(truth["gain"], np.float32).tolist() == made.whole.constants.gain.tolist()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fault", "dead:channel=EB-12/9999"], "no channel or group is named 'EB-12/9999'"),
        (["--fault", "swap:channel=EB-1/card1+EB-1/1"], "groups cannot"),
        (["--spread", "gain=3"], "write gain=0.01"),
    ],
)
def test_a_mistake_is_told_in_one_line(tmp_path, words, message):
    with pytest.raises(simulate.UserError, match=message) as error:
        beam(tmp_path, *words)
    assert "\n" not in str(error.value)


def test_a_geometry_that_is_not_of_the_patches_is_refused(tmp_path):
    tiny.artefact().save(tmp_path / "other")
    with pytest.raises(simulate.UserError, match="pb-lar-504"):
        beam(tmp_path, "--artefact", str(tmp_path / "other"))


@pytest.mark.slow
def test_showers_of_a_file_are_put_anywhere_too(tmp_path):
    import h5py

    path = tmp_path / "patches.h5"
    cells = np.zeros((50, 25), np.float32)
    cells[:, 12] = 5000
    with h5py.File(path, "w") as file:
        file["showers"], file["incident_energies"] = cells, np.full((50, 1), 6000.0)
        file.attrs["noise_mev"] = 0.0
    sent = blocks(beam(tmp_path, "--source", str(path), "--spread", "gain=0.1"))
    core = np.concatenate([block.showers.cells[:, 12] for block in sent])
    assert core.std() == pytest.approx(500, rel=0.1)
