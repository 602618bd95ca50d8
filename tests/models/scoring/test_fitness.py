"""Fitness: what a model says of good showers it must keep, and who takes one that does not says so."""

from dataclasses import replace

import numpy as np
import pytest
import tiny

from models.fitting.acceptance import Unfit, accepted
from models.scoring.artefact import Artefact
from models.scoring.fitness import Unfitness, misfits


def with_moments(change):
    """Return a model whose latents have other moments on the showers it was certified with."""
    made = tiny.artefact()
    moments = made.reference.latent_moments.copy()
    change(moments)
    return replace(made, reference=replace(made.reference, latent_moments=moments))


def with_card(**facts):
    made = tiny.artefact()
    return replace(made, card={**made.card, **facts})


def wide(moments):
    moments[1] *= 103
    moments[3] *= 103**2


def wide_in_some_cells(moments):
    moments[1, :, :20] *= 3
    moments[3, :, :20] *= 9


def shifted(moments):
    moments[0] -= 0.5


STEEP = {"by_energy": [{"mev": [900.0, 1200.0], "showers": 400, "exceedance": 0.31}]}
OVERFIT = {"flow": {"train": 10434.0, "held_out": 884566.0, "error": 9e3, "dimensions": 510}}
OF_TEST = {"held_out": {"showers": 2000, "latent_square": 1.6, "exceedance": {}}}
OF_TEST_CELLS = {
    "held_out": {"showers": 2000, "latent_square": 1.0, "exceedance": {"1": {"0.1": 0.25}}}
}
UNFIT = {
    "wide": (lambda: with_moments(wide), Unfitness.LATENTS, "mean square of the latents 109"),
    "wide cells": (
        lambda: with_moments(wide_in_some_cells),
        Unfitness.LATENTS,
        "20 of 507 latents have a mean square",
    ),
    "shifted": (lambda: with_moments(shifted), Unfitness.LATENTS, "means of the latents are off"),
    "steep": (lambda: with_card(certified=STEEP), Unfitness.CALIBRATION, "0.310 of good showers"),
    "overfit": (lambda: with_card(losses=OVERFIT), Unfitness.LOSSES, "8.846e+05 held out"),
    "of test": (lambda: with_card(**OF_TEST), Unfitness.LATENTS, "--test"),
    "cell of test": (lambda: with_card(**OF_TEST_CELLS), Unfitness.CALIBRATION, "condition cell 1"),
}


def test_a_model_that_fits_is_taken_as_it_is():
    made = tiny.artefact()
    assert misfits(made) == ()
    assert accepted(made, ()) is made


@pytest.mark.parametrize(("model", "kind", "says"), UNFIT.values(), ids=UNFIT)
def test_what_does_not_fit_is_said_and_not_certified(model, kind, says):
    made = model()
    found = misfits(made)
    assert {misfit.kind for misfit in found} == {kind}
    assert any(says in misfit.text for misfit in found)
    with pytest.raises(Unfit, match=f"not certified: {kind}: .*--despite {kind}") as caught:
        accepted(made, ())
    assert "\n" not in str(caught.value)


TOO_SHORT = {
    "train": 4583.0, "held_out": 4580.0, "error": 9.0, "dimensions": 6532.0,
    "epochs": 6.0, "fell": 125.4,
}  # fmt: skip


def test_a_model_that_was_trained_too_briefly_is_refused_with_what_to_give():
    losses = {"autoencoder": {**TOO_SHORT, "dimensions": 1.0}, "flow": TOO_SHORT}
    made = with_moments(wide)
    short = replace(made, card={**made.card, "losses": losses})
    fell = "flow was still falling, by 125 in the latter half of 6 epochs: give more of them"
    with pytest.raises(Unfit, match=fell):
        accepted(short, ())
    level = {**losses, "flow": {**TOO_SHORT, "fell": 2.0}}
    with pytest.raises(Unfit) as caught:
        accepted(replace(made, card={**made.card, "losses": level}), ())
    assert "falling" not in str(caught.value)


def test_an_order_says_what_is_wrong_and_the_card_keeps_it(tmp_path):
    made = with_moments(wide)
    with pytest.raises(Unfit):
        accepted(made, (Unfitness.LOSSES,))
    taken = accepted(made, (Unfitness.LATENTS, Unfitness.LOSSES))
    taken.save(tmp_path)
    again = Artefact.load(tmp_path)
    assert again.card["despite"] == [str(misfit) for misfit in misfits(made)]
    assert misfits(again) == misfits(made)


def test_a_chance_fluctuation_is_no_misfit():
    rng = np.random.default_rng(1)
    rates = rng.binomial(150, 0.1, 200) / 150
    rows = [{"mev": [1e3, 2e3], "showers": 150, "exceedance": float(rate)} for rate in rates]
    assert misfits(with_card(certified={"by_energy": rows})) == ()


def test_a_generated_reference_says_nothing_of_the_latents():
    made = with_moments(wide)
    assert misfits(replace(made, reference=replace(made.reference, origin="generated"))) == ()
