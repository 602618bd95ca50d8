"""bench parts: the scorer beside the products that it multiplies, the tally and the judge."""

import shutil
from pathlib import Path

import pytest
import torch

import models
from consumers.bench import parts
from models.scoring.artefact import Artefact


@pytest.fixture(scope="module")
def artefact():
    return Artefact.load(Path(models.__path__[0]) / "artefacts/pb-lar-flux")


def test_the_products_of_a_chain_of_layers_are_noted_in_their_order():
    noted = parts._Noted()
    x, w, v = torch.ones(5, 4), torch.ones(4, 3), torch.ones(3, 2)
    with torch.inference_mode(), noted:
        torch.addmm(torch.zeros(2), torch.relu(x @ w), v)
    assert noted.shapes == [((5, 4), (4, 3)), ((5, 3), (3, 2))]


@pytest.mark.slow
def test_every_part_has_a_cost_and_the_scorer_costs_more_than_its_products(
    artefact, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told = parts.measured(artefact, showers=512, seconds=(3, 6))
    parts_of = {"whole_products", "products", "scorer", "tally_16", "tally_4096"}
    assert set(told["us"]) - {"compiled_scorer"} == parts_of
    assert ("compiled_scorer" in told["us"]) is (shutil.which("g++") is not None)
    assert all(us > 0 for us in told["us"].values())
    assert told["scorer_over_products"] > 1
    if "compiled_scorer" in told["us"]:
        assert told["us"]["compiled_scorer"] < told["us"]["scorer"]
    assert told["judge_ms"] > 0
