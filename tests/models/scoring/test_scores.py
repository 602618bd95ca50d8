"""Scores: each sees the fault that it is there for."""

import numpy as np
import pytest
import torch

from models.detector.geometry import Geometry, Layer
from models.flows.interface import FlowOutput
from models.scoring import scores
from models.scoring.scores import (
    RawScores,
    ScoreError,
    ScoreMap,
    block_sums,
    names,
    standard_chi2,
    unlit_square,
)

GEOMETRY = Geometry(
    "small",
    (
        Layer("a", (3, 8), (1.0, 1.0), (0.0, 1.0)),
        Layer("b", (6, 6), (1.0, 1.0), (1.0, 2.0)),
    ),
    noise_mev=1.0,
)
V = GEOMETRY.n_cells
NAMES = scores.names(("layers", "cells"), residuals=True)


def raw(z=None, cells=None, n=4000, seed=1):
    """Return the columns by name for standard normal latents, changed by the caller."""
    g = torch.Generator().manual_seed(seed)
    latents = torch.randn(n, V + 2, generator=g)
    if z is not None:
        z(latents)
    output = FlowOutput(torch.zeros(n, 2), latents, torch.zeros(n, V))
    energies = np.zeros((n, V), np.float32) if cells is None else cells
    score = RawScores(GEOMETRY)
    columns = score(output, score.lit(energies, np.full(n, 0.5))).numpy()
    assert columns.shape == (n, len(NAMES))
    return dict(zip(NAMES, columns.T, strict=True))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (3, 2), (4, 5), (9, 9)])
def test_block_sums_are_sums_over_blocks(height, width):
    grid = torch.arange(4 * 5 * 2, dtype=torch.float32).reshape(4, 5, 2)
    sums = block_sums(grid, height, width)
    h, w = min(height, 4), min(width, 5)
    assert sums.shape == (5 - h, 6 - w, 2)
    for i in range(5 - h):
        for j in range(6 - w):
            expected = grid[i : i + h, j : j + w].sum((0, 1))
            assert torch.allclose(sums[i, j], expected)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (3, 2), (4, 5), (9, 9)])
def test_blocks_of_a_layer_that_closes_go_on_over_its_seam(height, width):
    grid = torch.randn(4, 5, 2, generator=torch.Generator().manual_seed(1))
    sums = block_sums(grid, height, width, closes=True)
    turned = block_sums(grid.roll(1, 0), height, width, closes=True)
    assert torch.allclose(turned, sums.roll(1, 0), atol=1e-6)
    assert len(sums) == (4 if height < 4 else 1)


@pytest.mark.parametrize("angle", range(8))
def test_a_patch_is_as_strange_at_the_seam_of_a_polar_layer_as_elsewhere(angle):
    edges = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    rings = Layer("rings", (8, 6), (1.0, 1.0), (0.0, 1.0), edges)
    score = RawScores(Geometry("polar", (rings,), noise_mev=1.0))
    z = torch.full((1, 49), 0.5)
    patch = [(angle + a) % 8 * 6 + r for a in range(3) for r in range(2, 5)]
    z[0, patch] = 2.0
    output = FlowOutput(torch.zeros(1, 1), z, None)
    found = score(output, torch.full((1,), 0.5))
    at = names(("cells",), residuals=False).index("block")
    assert found[0, at] == pytest.approx(float(standard_chi2(torch.tensor(36.0), 9)), rel=1e-5)


@pytest.mark.parametrize("n", [5, 9, 288])
def test_chi2_of_any_number_of_cells_is_about_normal(n):
    chi2 = torch.randn(20_000, n, generator=torch.Generator().manual_seed(n)).square().sum(1)
    deviate = standard_chi2(chi2, n)
    assert float(deviate.mean()) == pytest.approx(0, abs=0.05)
    assert float(deviate.std()) == pytest.approx(1, abs=0.06)
    share = float((deviate > 2.326).double().mean())
    assert 0.003 < share < 0.016


def test_what_is_drawn_for_an_unlit_cell_changes_no_score():
    z = torch.randn(1, V + 2, generator=torch.Generator().manual_seed(3))
    score, unlit = RawScores(GEOMETRY), 0.3
    found = []
    for draw in (0.001, 0.5, 0.999):
        draws = torch.ones(1, 1 + V)
        draws[0, 5] = draw
        z[0, 4] = torch.special.ndtri(torch.tensor(unlit * draw))
        found.append(score(FlowOutput(torch.zeros(1, 1), z, None), torch.ones(1), draws))
    assert torch.allclose(found[0], found[1], atol=1e-4)
    assert torch.allclose(found[2], found[1], atol=1e-4)


@pytest.mark.parametrize("unlit", [0.5, 0.1, 1e-3, 1e-6])
def test_an_unlit_cell_counts_as_the_middle_of_what_may_be_drawn(unlit):
    draw = torch.tensor([0.7])
    found = unlit_square(torch.special.ndtri(unlit * draw), draw)
    middle = torch.special.ndtri(torch.tensor(unlit / 2)).square()
    assert float(found) == pytest.approx(float(middle), rel=0.09)


def test_a_cell_that_is_hardly_ever_lit_says_nothing_where_it_is_not():
    draw = torch.rand(1000, generator=torch.Generator().manual_seed(3)).clamp(1e-6, 1 - 1e-6)
    assert float(unlit_square(torch.special.ndtri(draw * (1 - 1e-4)), draw).max()) < 1e-4


def test_one_strange_cell_is_seen_by_cell_and_tail():
    plain, struck = raw(), raw(lambda z: z[:, 30].add_(6))
    for name in ("cell", "tail", "block"):
        assert np.mean(struck[name] > np.quantile(plain[name], 0.99)) > 0.9


def test_a_weak_cluster_is_seen_by_the_block_before_any_cell():
    def cluster(z):
        z.view(-1, V + 2)[:, 24 : 24 + 36].view(-1, 6, 6)[:, 2:5, 2:5].mul_(1.8)

    plain, struck = raw(), raw(cluster)
    seen = {n: np.mean(struck[n] > np.quantile(plain[n], 0.99)) for n in ("block", "cell")}
    assert seen["block"] > 0.2
    assert seen["block"] > 1.3 * seen["cell"]


def test_typicality_is_the_sum_of_squares_and_response_the_first_layer_coordinate():
    columns = raw(lambda z: z.fill_(2.0))
    assert np.allclose(columns["typicality"], 4 * V)
    assert np.allclose(columns["response"], 2)


def test_occupancy_counts_lit_cells_and_breaks_ties():
    cells = np.zeros((4000, V), np.float32)
    cells[:, :7] = 3.5  # above three times the noise
    cells[:, 7:9] = 2.5
    assert np.allclose(raw(cells=cells)["occupancy"], 7.5)


def test_scores_are_standardised_at_every_energy_and_two_sided_where_they_must_be():
    rng = np.random.default_rng(1)
    context = rng.uniform(-2, 2, 20_000).astype(np.float32)
    values = 100 + 20 * context[:, None] + (3 + context[:, None]) * rng.normal(size=(20_000, 2))
    fitted = scores.fit(("nll_cells", "typicality"), values.astype(np.float32), context)
    out = fitted(values.astype(np.float32), context)
    for low in (-2, -1, 0, 1):
        rows = (context >= low) & (context < low + 1)
        assert out[rows, 0].mean() == pytest.approx(0, abs=0.06)
        assert out[rows, 0].std() == pytest.approx(1, abs=0.06)
    assert (out[:, 1] >= 0).all()
    low_side = fitted(np.array([[100, 85]], np.float32), np.zeros(1, np.float32))
    assert low_side[0, 1] == pytest.approx(5, abs=0.3)


def test_arrays_bring_the_scores_back():
    fitted = scores.fit(
        NAMES,
        np.random.default_rng(2).normal(size=(500, len(NAMES))).astype(np.float32),
        np.linspace(-1, 1, 500).astype(np.float32),
    )
    again = scores.from_arrays(NAMES, fitted.arrays())
    assert np.array_equal(again.mean, fitted.mean)
    assert again.weights[NAMES.index("block")] == scores.WEIGHTS["block"]


@pytest.mark.parametrize("bad", ["nan", "shape", "weights"])
def test_coefficients_that_cannot_be_are_refused(bad):
    mean, log_scale = np.zeros((4, 2), np.float32), np.zeros((4, 2), np.float32)
    weights = np.ones(2)
    if bad == "nan":
        mean[0, 0] = np.nan
    if bad == "shape":
        log_scale = log_scale[:2]
    if bad == "weights":
        weights[1] = 0
    with pytest.raises(ScoreError):
        ScoreMap(("a", "b"), mean, log_scale, weights)
