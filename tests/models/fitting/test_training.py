"""Training: draws, mirrors, early stops, and goes on where it was."""

import numpy as np
import pytest
import tiny
import torch

from models.fitting import training
from models.fitting.certification import every_image
from models.fitting.checkpoint import Place, TrainingError
from models.fitting.recipe import Recipe, new_flow, prepare, split
from models.fitting.training import Options, Session
from models.fitting.twins import twins
from models.flows import standards
from models.flows.interface import Phase
from models.showers.batch import Showers
from models.showers.pool import Pool, digitise
from models.showers.symmetries import Symmetry


def test_mirrors_are_their_own_inverse_and_stay_in_their_layer():
    identity, x, y, both = (one.cells for one in Symmetry(("x", "y")).images(tiny.GEOMETRY))
    assert np.array_equal(identity, np.arange(504))
    assert np.array_equal(x[y], both)
    for image in (x, y, both):
        assert np.array_equal(image[image], identity)
        layer = tiny.GEOMETRY.layer_of_cell
        assert np.array_equal(layer[image], layer)
    centres = tiny.GEOMETRY.centres
    assert np.allclose(centres[x] * [-1, 1, 1], centres)
    assert np.allclose(centres[y] * [1, -1, 1], centres)


def test_digitisation_has_the_noise_and_the_step_of_the_detector():
    rng = np.random.default_rng(1)
    read = digitise(np.full((2000, 504), 7.0, np.float32), tiny.GEOMETRY, rng)
    assert read.mean() == pytest.approx(7, abs=0.01)
    assert read.std() == pytest.approx(np.hypot(1, 0.25 / np.sqrt(12)), rel=0.01)
    assert np.array_equal(read, np.rint(read * 4) / 4)


def test_only_clean_showers_get_noise():
    good = tiny.showers()[slice(0, 10)]
    clean = np.arange(10) < 5
    draw = Pool(good, clean).draw(np.arange(10), tiny.GEOMETRY, np.random.default_rng(1), ())
    changed = (draw.cells != good.cells).any(axis=1)
    assert np.array_equal(changed, clean)


def small(epochs=3, **kw):
    return Recipe(
        options=Options(epochs=epochs, batch=64, seed=2, flips=("y",), **kw),
        model={"hidden": (8,), "coder_hidden": 4, "latents": 2},
        head=0,
        group=64,
    )


def fit(recipe, session, seen=None):
    good = tiny.showers()
    feature_map = standards.fit(good, tiny.GEOMETRY)
    torch.manual_seed(5)
    flow = new_flow(recipe, good, tiny.GEOMETRY)
    train, held_out = Pool(good[slice(0, 400)]), Pool(good[slice(400, 500)])
    training.fit(flow, feature_map, tiny.GEOMETRY, train, held_out, recipe.options, session)
    return flow


@pytest.mark.slow
def test_training_lowers_the_held_out_loss_of_every_phase():
    seen = []
    fit(small(4), Session(progress=seen.append))
    for phase in ("autoencoder", "flow"):
        losses = [p.held_out for p in seen if p.phase == phase]
        assert losses[-1] < losses[0]
        assert seen[-1].best == min(p.held_out for p in seen if p.phase == "flow")


@pytest.mark.slow
def test_same_seed_same_weights():
    a, b = fit(small(1), Session()), fit(small(1), Session())
    for name, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [1, 3, 4])
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path, stop_after):
    whole = fit(small(3), Session())
    checkpoint = tmp_path / "checkpoint.safetensors"
    count = [0]

    def interrupt(_):
        count[0] += 1
        if count[0] == stop_after + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(small(3), Session(progress=interrupt, checkpoint=checkpoint))
    resumed = fit(small(3), Session(checkpoint=checkpoint))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.slow
def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    session = Session(checkpoint=tmp_path / "checkpoint.safetensors")
    fit(small(1), session)
    fit(small(1), session)
    with pytest.raises(TrainingError, match="of another training"):
        fit(small(1, learning_rate=2e-3), session)


def test_a_checkpoint_that_is_none_is_refused(tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoint.write_bytes(b"junk")
    with pytest.raises(TrainingError, match="not a usable checkpoint"):
        fit(small(1), Session(checkpoint=checkpoint))


@pytest.mark.slow
def test_training_stops_early_and_keeps_the_best():
    seen = []
    fit(small(40, learning_rate=0.9, patience=2), Session(progress=seen.append))
    flow = [p for p in seen if p.phase == "flow"]
    assert len(flow) < 40
    assert flow[-1].best < flow[-1].held_out


def test_certified_showers_are_kept_out_of_training():
    good = tiny.showers()
    certify = Pool(good[slice(0, 300)])
    train, stop, aside = split(Pool(good), small(), certify, tiny.GEOMETRY)
    assert aside is certify
    assert train.n + stop.n == good.n - 300
    assert not np.isin(certify.showers.e_inc, train.showers.e_inc).any()
    assert not np.isin(certify.showers.e_inc, stop.showers.e_inc).any()


def of_energy(showers, e_inc):
    return Showers(showers.cells, np.full(showers.n, e_inc, np.float32))


@pytest.mark.parametrize("e_inc", [1e4, np.nan])
def test_showers_of_one_energy_or_none_are_told_apart_by_their_cells(e_inc):
    good = of_energy(tiny.showers(), e_inc)
    certify = Pool(good[slice(0, 300)])
    train, stop, _ = split(Pool(good), small(), certify, tiny.GEOMETRY)
    assert train.n + stop.n == good.n - 300
    of_others = split(Pool(good[slice(300, 1200)]), small(), certify, tiny.GEOMETRY)
    assert of_others[0].n + of_others[1].n == 900


def test_showers_of_other_energies_are_no_twins():
    good = tiny.showers()
    assert not twins(good, of_energy(good, 1e4), tiny.GEOMETRY).any()


@pytest.mark.parametrize("known", [True, False])
def test_a_shower_is_the_twin_of_its_clean_and_of_its_newly_digitised_form(known):
    clean = tiny.showers("gamma_clean")
    clean = clean if known else of_energy(clean, np.nan)
    rng = np.random.default_rng(1)
    one, other = (Showers(digitise(clean.cells, tiny.GEOMETRY, rng), clean.e_inc) for _ in range(2))
    assert twins(one, other, tiny.GEOMETRY).all()
    assert twins(one, clean, tiny.GEOMETRY).all()
    assert not twins(one[slice(0, 600)], other[slice(600, 1200)], tiny.GEOMETRY).any()


def test_noise_alone_is_not_its_own_twin():
    rng = np.random.default_rng(1)
    nothing, e_inc = np.zeros((300, 504), np.float32), np.full(300, 100, np.float32)
    one, other = (Showers(digitise(nothing, tiny.GEOMETRY, rng), e_inc) for _ in range(2))
    assert not twins(one, other, tiny.GEOMETRY).any()
    assert twins(one, one, tiny.GEOMETRY).all()


def test_without_files_of_its_own_the_reference_gets_a_share():
    good = tiny.showers()
    parts = split(Pool(good), small(), None, tiny.GEOMETRY)
    energies = np.concatenate([part.showers.e_inc for part in parts])
    assert sorted(energies) == sorted(good.e_inc)
    assert parts[2].n == 300


def test_population_holds_every_image_and_fresh_noise_for_clean_ones():
    good = tiny.showers()[slice(0, 10)]
    clean = np.arange(10) < 4
    showers, index = every_image(
        Pool(good, clean), tiny.GEOMETRY, small().certification, np.random.default_rng(1)
    )
    assert showers.n == 2 * (10 + 4)
    assert np.bincount(index).tolist() == [4] * 4 + [2] * 6
    assert len(np.unique(showers.cells[index == 0], axis=0)) == 4


@pytest.mark.slow
def test_caloflow_trains_by_the_same_recipe():
    recipe = Recipe(
        family="caloflow",
        options=Options(epochs=1, batch=64, seed=2),
        held_out=0.1,
        certify=0.4,
        condition_cells=1,
        model={"layer_blocks": 1, "cell_blocks": 1, "cell_hidden": (8,), "groups": 4},
    )
    made = prepare(recipe, Pool(tiny.showers()), tiny.GEOMETRY, Session())
    assert made.family == "caloflow"
    assert "reconstruction" not in made.score_names
    scored = made.scorer("cpu").score(tiny.showers("mu", 20))
    assert scored.latents.shape == (20, 507)
    assert scored.valid.all()


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 0},
        {"learning_rate": 2.0},
        {"flips": ("z",)},
        {"seed": -1},
        {"batch": 0},
        {"epochs": 1.5},
    ],
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(TrainingError):
        Options(**options)


@pytest.mark.parametrize(
    "fields",
    [
        {"held_out": 0.7, "certify": 0.5},
        {"condition_cells": 0},
        {"draws": 0},
        {"condition_cells": 2.5},
        {"draws": 1.5},
        {"group": True},
        {"conditions": (3,)},
        {"model": "x"},
    ],
)
def test_recipes_that_cannot_be_are_refused(fields):
    with pytest.raises(TrainingError):
        Recipe(**fields)


def test_unknown_model_options_are_refused():
    recipe = Recipe(model={"depth": 3})
    with pytest.raises(TrainingError, match="depth"):
        new_flow(recipe, tiny.showers(), tiny.GEOMETRY)


def test_too_few_held_out_showers_are_refused():
    good = tiny.showers()
    with pytest.raises(TrainingError, match="held-out"):
        prepare(Recipe(held_out=0.01), Pool(good), tiny.GEOMETRY, Session())


def test_flips_of_noise_free_showers_keep_their_energy():
    good = tiny.showers()[slice(0, 5)]
    draw = Pool(Showers(good.cells, good.e_inc)).draw(
        np.arange(5),
        tiny.GEOMETRY,
        np.random.default_rng(3),
        Symmetry(("x", "y")).images(tiny.GEOMETRY),
    )
    assert np.allclose(draw.cells.sum(axis=1), good.cells.sum(axis=1), atol=1e-2)


def test_mixed_precision_is_refused_without_a_gpu():
    with pytest.raises(TrainingError, match="CUDA"):
        Session(mixed=True)


@pytest.mark.slow
def test_a_loss_in_mixed_precision_is_the_loss():
    flow = fit(small(1), Session())
    good = tiny.showers()[slice(0, 200)]
    seen, _ = standards.fit(tiny.showers(), tiny.GEOMETRY)(good)
    for phase in flow.phases():
        phase.begin(seen)
        with torch.no_grad():
            exact = phase.loss(seen)
            with torch.autocast("cpu", torch.bfloat16):
                rounded = phase.loss(seen)
        assert rounded.dtype == torch.float32
        assert float((rounded - exact).abs().mean()) < 0.02 * float(exact.abs().mean())


def test_a_phase_that_creeps_ends_early():
    place = Place(best=1.0)
    for loss in (0.9999, 0.9998, 0.9997):
        place = place.after(loss, least_gain=1e-3)
    assert (place.since_best, place.best) == (3, 0.9997)
    assert place.after(0.99, least_gain=1e-3).since_best == 0
    assert place.after(0.9996).since_best == 0


class OneWeight(torch.nn.Module):
    """A flow whose loss is finite where it is trained and not finite where it is checked."""

    family, stages, reconstructs, config = "one", ("one",), False, {}

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def phases(self):
        def loss(seen):
            each = (self.weight - 1).square().expand(len(seen.cells))
            return each if torch.is_grad_enabled() else each + float("nan")

        return (Phase("one", lambda _: None, [self.weight], loss),)


def test_a_held_out_loss_that_is_not_finite_ends_the_training():
    good = tiny.showers()
    parts = Pool(good[slice(0, 400)]), Pool(good[slice(400, 500)])
    feature_map = standards.fit(good, tiny.GEOMETRY)
    with pytest.raises(TrainingError, match="held-out loss of one is not finite after epoch 1"):
        training.fit(OneWeight(), feature_map, tiny.GEOMETRY, *parts, Options(), Session())


def test_the_card_has_the_losses_of_training_and_of_held_out_showers():
    losses = tiny.artefact().card["losses"]
    assert set(losses) == {"autoencoder", "flow"}
    flow = losses["flow"]
    assert flow["dimensions"] == 504 + 2 + 4
    assert abs(flow["held_out"] - flow["train"]) < 0.2 * flow["dimensions"]
