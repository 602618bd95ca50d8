"""Training: draws, mirrors, early stops, and goes on where it was."""

import pytest
import tiny
import torch
from fitted import small
from safetensors.torch import save_file

from models.fitting import checkpoint, training
from models.fitting.checkpoint import Reached, TrainingError
from models.fitting.recipe import Recipe, new_flow, prepare
from models.fitting.training import Options, Session
from models.flows import standards
from models.flows.interface import Phase
from models.showers.pool import Pool


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


def test_a_checkpoint_of_another_form_is_refused(tmp_path):
    path, digest = tmp_path / "checkpoint.safetensors", bytes(32)
    place = torch.tensor([1.0, 3.0, 0.5, 0.0], dtype=torch.float64)  # without what fell
    save_file({"place": place, "digest": torch.zeros(32, dtype=torch.uint8)}, path)
    with pytest.raises(TrainingError, match="of another training"):
        checkpoint.resume(path, digest)


@pytest.mark.slow
def test_training_stops_early_and_keeps_the_best():
    seen = []
    fit(small(40, learning_rate=0.9, patience=2), Session(progress=seen.append))
    flow = [p for p in seen if p.phase == "flow"]
    assert len(flow) < 40
    assert flow[-1].best < flow[-1].held_out


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
    place = Reached(best=1.0)
    for loss in (0.9999, 0.9998, 0.9997):
        place = place.after(loss, least_gain=1e-3)
    assert (place.since_best, place.best) == (3, 0.9997)
    assert place.after(0.99, least_gain=1e-3).since_best == 0
    assert place.after(0.9996).since_best == 0


def test_an_epoch_of_few_showers_has_about_as_many_steps_as_one_of_many():
    assert Options().steps(2750) == 85  # 10, were they taken as many at a time
    assert Options().steps(25_600) == 100
    assert Options().steps(60) == 1
    assert Options(batch=128).steps(2750) == 21


def test_a_phase_tells_how_far_its_loss_fell_in_the_latter_half_of_its_epochs():
    place = Reached(fell=(0.5,))
    for loss in (9.0, 7.0, 4.0, 2.5):
        place = place.after(loss, epochs=4)
    assert place.beyond(4) == Reached(1, fell=(0.5, 4.5))
    assert place.beyond(60).fell == (0.5, 0.0)  # patience ended it


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
    assert flow["epochs"] >= 1
    assert flow["fell"] >= 0
    assert abs(flow["held_out"] - flow["train"]) < 0.2 * flow["dimensions"]
