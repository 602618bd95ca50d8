"""Levelling: p-values hold at every energy and at every further condition, not only on the mean."""

import numpy as np
import pytest
from scipy.special import ndtr

from models.detector import geometry
from models.scoring import levelling
from models.scoring.levelling import NOT_LEVELLED, Levelling
from models.scoring.population import Population, build
from models.scoring.scales import P_MIN

GEOMETRY = geometry.Geometry(
    "two", (geometry.Layer("a", (1, 2), (1.0, 1.0), (0.0, 1.0)),), noise_mev=1.0
)
BANDS = ((1, 1.5), (2, 3), (4, 6), (6, 10), (10, 20), (20, 40), (40, 60))


def steep(n, rng, low=1e3, high=1e5):
    """Return energies of a spectrum that falls as the square, MeV."""
    return 1 / (1 / low + rng.random(n) * (1 / high - 1 / low))


def people(e_rec, eta, rng):
    """Return good showers whose scores grow in the tail of the spectrum, and with eta."""
    n = len(e_rec)
    drift = 0.35 * np.maximum(np.log(e_rec / 6000), 0) + 0.3 * eta
    scores = rng.normal(size=(n, 3)) + drift[:, None]
    conditions = np.column_stack([(np.log(e_rec) - 7.9) / 0.9, eta]).astype(np.float32)
    return Population(
        e_rec=e_rec,
        scores=scores.astype(np.float32),
        latents=np.zeros((n, 3), np.float32),
        cells=np.zeros((n, 2), np.float32),
        shower=np.arange(n),
        conditions=conditions,
    )


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(1)
    return build(people(steep(8000, rng), rng.uniform(-1, 1, 8000), rng), GEOMETRY, 5, "certified")


def shares(table, e_rec, eta, rng, *, level):
    """Return the shares of good showers with p <= 0.1 and 0.01, by score and combined."""
    fresh = people(e_rec, eta, rng)
    cell = table.condition_cell(e_rec)
    conditions = fresh.conditions if level else None
    p = table.p_values(table.position(fresh.scores, cell), cell, conditions)
    whole = table.combined(p, cell, np.ones((2, 3)), conditions=conditions)
    return [(np.column_stack([p, whole]) <= alpha).mean(0) / alpha for alpha in (0.1, 0.01)]


@pytest.mark.slow
@pytest.mark.parametrize("band", BANDS)
def test_p_values_are_uniform_at_every_energy_of_a_steep_spectrum(table, band):
    rng = np.random.default_rng(2)
    e_rec = rng.uniform(*band, 30_000) * 1e3
    tenth, hundredth = shares(table, e_rec, rng.uniform(-1, 1, 30_000), rng, level=True)
    assert (np.abs(tenth - 1) < 0.4).all()
    # Beyond 20 GeV there are 300 showers of the 8,000, above 40 GeV a hundred.
    assert (np.abs(hundredth - 1) < (1.0 if band[1] <= 20 else 1.4)).all()


def test_without_levelling_they_are_not(table):
    rng = np.random.default_rng(2)
    e_rec = rng.uniform(40, 60, 30_000) * 1e3
    tenth, hundredth = shares(table, e_rec, rng.uniform(-1, 1, 30_000), rng, level=False)
    assert tenth.max() > 2
    assert hundredth.max() > 3


@pytest.mark.parametrize("eta", [-0.9, 0.0, 0.9])
def test_p_values_are_uniform_at_every_further_condition(table, eta):
    rng = np.random.default_rng(3)
    e_rec, at = steep(30_000, rng), np.full(30_000, eta)
    tenth, hundredth = shares(table, e_rec, at, rng, level=True)
    assert (np.abs(tenth - 1) < 0.2).all()
    assert (np.abs(hundredth - 1) < 0.5).all()
    if eta:
        plain, _ = shares(table, e_rec, at, rng, level=False)
        assert np.abs(plain - 1).max() > 0.3


def test_what_is_level_already_stays_as_it_is():
    rng = np.random.default_rng(4)
    conditions = rng.normal(size=(20_000, 1)).astype(np.float32)
    p = rng.random((20_000, 2))
    knots = levelling.knots_of(conditions, np.zeros(20_000, np.int64))
    found = Levelling(knots, *levelling.fit(p, conditions, knots, 1.0))
    assert np.abs(found.shift[0][1]).max() < 0.05
    assert np.abs(found(p, conditions, np.arange(2)) / p - 1).mean() < 0.1


def test_levelled_p_values_lie_in_zero_one_and_keep_their_order():
    knots = (np.array([-1.0, 0.0, 0.0, 1.0]),)
    found = Levelling(knots, (np.full((4, 1), -0.5),), (np.full((4, 1), 0.2),))
    p = np.array([P_MIN, 1e-6, 0.1, 0.5, 1.0])[:, None]
    level = found(p, np.linspace(-3, 3, 5, dtype=np.float32)[:, None], np.arange(1))
    assert ((level >= P_MIN) & (level <= 1)).all()
    assert (np.diff(level[:, 0]) > 0).all()
    assert level[3, 0] == pytest.approx(ndtr(0.5 / np.exp(0.2)))


def test_arrays_bring_a_levelling_back_and_none_is_none(table):
    again = levelling.from_arrays(table.levelling.arrays())
    assert again.n_columns == table.levelling.n_columns == 5
    assert levelling.from_arrays({}).n_columns == NOT_LEVELLED.n_columns == 0


@pytest.mark.parametrize(
    "arrays",
    [
        {"knots.0": np.array([0.0, 1.0])},
        {"knots.0": np.array([1.0, 0.0]), "shift.0": np.zeros((2, 1)), "log_scale.0": np.zeros((2, 1))},
        {"knots.0": np.array([0.0, 1.0]), "shift.0": np.zeros((3, 1)), "log_scale.0": np.zeros((2, 1))},
        {"knots.0": np.array([0.0, 1.0]), "shift.0": np.full((2, 1), np.nan), "log_scale.0": np.zeros((2, 1))},
        {"a": np.zeros(2), "b": np.zeros(2), "c": np.zeros(2)},
    ],
)  # fmt: skip
def test_arrays_that_cannot_level_are_refused(arrays):
    with pytest.raises(ValueError, match=r"levelling|knots"):
        levelling.from_arrays(arrays)
