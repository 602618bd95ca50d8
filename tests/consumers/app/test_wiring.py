"""What a judge is made of needs no torch: it never scores, and torch takes seconds and 670 MiB."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from consumers.app import environment, wiring
from models.flows.cell_energies import inverse, typical
from models.scoring.artefact import Artefact
from models.scoring.description import Description

JUDGE = """
import sys
for name in ("torch", "zuko", "sklearn", "matplotlib.pyplot"):
    sys.modules[name] = None  # an import of it raises ImportError
from consumers.app import detector_files, environment, wiring
from consumers.app.program import Program
from consumers.cli.commands import ack, doctor, flags, grafana, judge, model, reference
from consumers.judge.judge import Judge
from consumers.wire import artefact_form
given = environment.load({}, {})
told = wiring.description_of(given)
program = Program(given, told, detector_files.detector_of(given))
program.add_judge()
judging_model = wiring.Catalogue(given, told, program.detector).judging_model(told.hash)
monitor = judging_model.make_monitor()
wiring.fingerprint_of(given, told, program.detector)
print(told.hash)
"""


@pytest.fixture(scope="module")
def both():
    folder = environment.load({}, {}).artefact
    return Artefact.load(folder), Description.load(folder)


@pytest.mark.slow
def test_all_that_a_judge_needs_can_be_had_where_there_is_no_torch(both):
    done = subprocess.run(
        [sys.executable, "-c", JUDGE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    artefact, _ = both
    assert done.stdout.strip() == artefact.hash


def test_a_description_says_what_the_artefact_says(both):
    artefact, told = both
    for name in ("hash", "family", "version", "score_names", "card"):
        assert getattr(told, name) == getattr(artefact, name)
    assert told.geometry.to_json() == artefact.geometry.to_json()
    assert wiring.form_of(told) == wiring.form_of(artefact)


def test_an_unremarkable_shower_is_the_image_of_no_latent(both):
    import torch

    feature_map = both[0].feature_map
    cells = np.tile(np.array([[1.0], [30.0]], np.float32), (1, feature_map.n_cells))
    standard = feature_map.standardised(feature_map.e_rec(cells), {})
    image = inverse(feature_map, torch.zeros(cells.shape), torch.from_numpy(standard))
    np.testing.assert_allclose(typical(feature_map, cells), image, rtol=2e-5, atol=1e-4)


@pytest.mark.slow
def test_a_model_learns_from_the_showers_that_it_keeps_or_else_from_those_that_it_generates():
    barrel = Artefact.load(wiring.ARTEFACT.parent / "barrel-flux")
    assert wiring.good_showers(barrel, None) is barrel.good
    good = wiring.good_showers(replace(barrel, good=None), None)
    assert good.cells.shape[1] == barrel.geometry.n_cells
    assert np.isnan(good.e_inc).all()


@pytest.mark.slow
def test_showers_to_learn_from_may_be_those_of_the_fast_simulation():
    barrel = Artefact.load(wiring.ARTEFACT.parent / "barrel-flux")
    good = wiring.good_showers(barrel, Path("gflash:gamma,n=300"))
    assert good.n == 300
    assert np.isfinite(good.e_inc).all()
