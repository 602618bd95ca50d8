"""Hurdle: probabilities add up to one, and latents are standard whatever is unlit."""

import numpy as np
import pytest
import torch
from scipy import stats

from models.flows.hurdle import Hurdle, _far_quantile, quantile


def hurdle(order=(0, 1, 2, 3, 3), sparse=(1, 2, 4), seed=1):
    torch.manual_seed(seed)
    made = Hurdle(order, sparse, 1, (16,))
    with torch.no_grad():  # far from the start, as after training
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.5)
    return made


def context(n):
    return torch.linspace(-1, 1, n)[:, None]


def own_draws(lit, seed=2):
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(lit.shape, generator=generator).clamp(1e-6, 1 - 1e-6)
    return torch.where(lit, torch.ones(()), draws)


def test_being_unlit_and_all_that_is_lit_add_up_to_one():
    made = hurdle((0,), (0,))
    x = torch.linspace(-1, 60, 50_001)[:, None]
    floor, at = torch.full_like(x, -1.0), torch.full_like(x, 0.3)
    with torch.no_grad():
        lit = made.log_prob(x, floor, torch.ones_like(x), at).exp()
        unlit = made.log_prob(floor[:1], floor[:1], torch.full((1, 1), 0.5), at[:1]).exp()
    assert float(lit.sum() * (x[1] - x[0]) + unlit) == pytest.approx(1, abs=1e-3)


def test_generated_dimensions_have_standard_latents_and_come_back():
    made, n = hurdle(), 30_000
    z = torch.randn(n, 5, generator=torch.Generator().manual_seed(3))
    floor = torch.tensor([[-1.0, 0.0, -0.3]]).expand(n, 3)
    x, lit = made.inverse(z, floor, context(n))
    assert ((lit.double().mean(0) > 0.05) & (lit.double().mean(0) < 0.95)).all()
    assert torch.equal(x[:, [1, 2, 4]][~lit], floor[~lit])
    with torch.no_grad():
        _, again = made(x, floor, own_draws(lit), context(n))
    assert torch.allclose(again[:, [1, 2, 4]][lit], z[:, [1, 2, 4]][lit], atol=1e-3)
    assert torch.allclose(again[:, [0, 3]], z[:, [0, 3]], atol=1e-4)
    for column in again.T.numpy():
        assert stats.kstest(column, "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(again.T.numpy()) - np.eye(5)).max() < 0.02


def test_without_a_factor_it_is_the_censored_normal():
    made = hurdle()
    with torch.no_grad():
        made.network[-1].weight.zero_()
        made.network[-1].bias.zero_()
    floor, draws = torch.full((1, 3), 0.7), torch.full((1, 3), 0.5)
    x = torch.zeros(1, 5)
    x[:, [1, 2, 4]] = floor
    with torch.no_grad():
        unlit = made.log_prob(x, floor, draws, torch.zeros(1, 1))[0, 1]
    assert float(unlit.exp()) == pytest.approx(stats.norm.cdf(0.7), abs=2e-3)
    x[:, 1], draws[:, 0] = 1.5, 1.0
    with torch.no_grad():
        lit = made.log_prob(x, floor, draws, torch.zeros(1, 1))[0, 1]
    assert float(lit) == pytest.approx(stats.norm.logpdf(1.5), abs=2e-3)


def test_a_bright_cell_that_is_unlit_is_far_out_and_so_is_a_dark_one_that_is_bright():
    value, cut = torch.tensor([-9.0, 25.0]), torch.tensor([-9.0, 3.0])
    odds, draws = torch.tensor([40.0, -6.0]), torch.tensor([0.5, 1.0])
    dark, bright = quantile(value, cut, odds, draws).tolist()
    assert dark == pytest.approx(stats.norm.ppf(0.5 * np.exp(-40)), rel=1e-3)
    assert bright == pytest.approx(25, abs=0.1)


def test_quantiles_of_small_probabilities_join():
    log_p = np.linspace(-70, -50, 201)
    found = _far_quantile(torch.tensor(log_p, dtype=torch.float32)).numpy()
    assert np.allclose(found, stats.norm.ppf(np.exp(log_p)), rtol=1e-3)
    assert np.all(np.diff(found) > 0)


def test_a_dimension_depends_on_none_of_its_own_place_or_later():
    made = hurdle()
    x, floor, draws = torch.zeros(1, 5), torch.full((1, 3), -1.0), torch.ones(1, 3)
    before = made.log_prob(x, floor, draws, torch.zeros(1, 1))
    x[:, 2] += 0.5
    moved = (made.log_prob(x, floor, draws, torch.zeros(1, 1)) - before).abs()[0] > 1e-7
    assert moved.tolist() == [False, False, True, True, True]


def test_it_begins_with_every_dimension_lit_as_often_as_in_the_showers():
    torch.manual_seed(1)
    made = Hurdle((0, 1), (0, 1), 1, (8,))
    floor = torch.tensor([[-1.0, 2.0]]).expand(1000, 2)
    draws = torch.where(torch.arange(1000)[:, None] < torch.tensor([900, 20]), 1.0, 0.5)
    made.begin(floor, draws)
    with torch.no_grad():
        unlit = made.log_prob(floor, floor, torch.full((1000, 2), 0.5), context(1000)).exp()
    assert unlit.mean(0).tolist() == pytest.approx([0.1, 0.98], abs=0.03)


def test_strange_values_train_to_nothing_that_is_not_finite():
    made = hurdle()
    x = torch.tensor([[0.0, 1e4, -3.0, 0.0, 1e-6]])
    floor = torch.tensor([[-1.0, -3.0, 0.0]])
    for draws in (torch.ones(1, 3), torch.tensor([[1.0, 1e-6, 1 - 1e-6]])):
        loss = made.log_prob(x, floor, draws, torch.zeros(1, 1)).sum()
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(p.grad).all() for p in made.parameters())
        with torch.no_grad():
            _, z = made(x, floor, draws, torch.zeros(1, 1))
        assert torch.isfinite(z).all()
