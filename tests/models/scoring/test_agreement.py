"""Agreement of engines: what is off by more than a thousandth of a spread is refused in words."""

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from consumers.app.settings import ARTEFACT
from models.fitting.generation import anywhere
from models.scoring import agreement
from models.scoring.agreement import EngineError
from models.scoring.artefact import Artefact

RELEASES = Path(__file__).parents[2] / "releases"


@pytest.fixture(scope="module")
def showers():
    return anywhere(tiny.artefact(), 64, seed=1)


@pytest.fixture
def examine():
    return tiny.artefact().scorer("cpu").examine


def test_showers_of_the_model_itself_are_everywhere_the_same(showers):
    again = anywhere(tiny.artefact(), 64, seed=1)
    assert np.array_equal(showers.cells, again.cells)
    assert np.array_equal(showers.e_inc, again.e_inc, equal_nan=True)
    of = tiny.artefact().feature_map
    at = of.standardised(of.e_rec(showers.cells), {})[:, 0]
    assert at.max() - at.min() > 0.5 * (of.limits[1, 0] - of.limits[0, 0])


def test_the_fast_evaluation_agrees_with_zuko_in_double_precision(examine, showers):
    agreement.check_plain(examine, tiny.artefact().flow, showers)


def test_the_models_flow_stays_in_single_precision(examine, showers):
    flow = tiny.artefact().flow
    agreement.check_plain(examine, flow, showers)
    assert {weight.dtype for weight in flow.parameters()} == {torch.float32}


def tf32(weight):
    """Return weights with the ten bits of TF32."""
    return ((weight.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


@pytest.mark.parametrize("name", ["pb-lar-flux", "pb-lar-caloflow", "barrel-flux"])
def test_ten_bits_are_refused_and_single_precision_is_not(name):
    artefact, rounded = (Artefact.load(ARTEFACT.parent / name) for _ in range(2))
    made = anywhere(artefact, 64, seed=1)
    agreement.check_plain(artefact.scorer("cpu").examine, artefact.flow, made)
    with torch.no_grad():
        for weight in rounded.flow.parameters():
            weight.copy_(tf32(weight))
    with pytest.raises(EngineError, match=r"are off by .* does not compute"):
        agreement.check_plain(rounded.scorer("cpu").examine, artefact.flow, made)


@pytest.mark.parametrize("folder", sorted(RELEASES.glob("*/artefact")), ids=lambda f: f.parent.name)
def test_models_of_releases_are_evaluated_as_they_were_trained(folder):
    artefact = Artefact.load(folder)
    agreement.check_plain(
        artefact.scorer("cpu").examine, artefact.flow, anywhere(artefact, 64, seed=1)
    )


@pytest.mark.parametrize("off", [0.01, np.nan, np.inf])
def test_one_latent_that_is_off_is_seen(examine, showers, off):
    seen = examine(showers)
    agreement.check(seen, seen)
    latents = seen.latents.copy()
    latents[17, 3] += off
    with pytest.raises(EngineError, match="latents are off"):
        agreement.check(seen._replace(latents=latents), seen)
