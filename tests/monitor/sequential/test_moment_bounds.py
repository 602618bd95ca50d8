"""Moment bounds: no bet wins more on average than they say."""

import numpy as np
import pytest

from monitor.sequential.moment_bounds import LATENT_MOMENTS, SQUARE_MOMENTS, log_mean
from monitor.windows.channel_sums import CHANNEL_Z_CLIP


@pytest.mark.parametrize("slope", [0.06, 0.2, 0.5, 0.7])
@pytest.mark.parametrize("jump", [3.0, 4.0, 6.0])
def test_the_bound_on_the_mean_of_a_bet_holds_for_laws_that_reach_its_moments(
    slope: float, jump: float
) -> None:
    third, fourth = LATENT_MOMENTS
    often = (fourth - 1) / ((jump**2 - 1) * (jump**2 + 1 - fourth))  # as the fourth moment allows
    values = np.array([jump, -jump, 1.0, -1.0])
    chances = np.array([often, often, 1 - often, 1 - often]) / 2
    variance = float(chances @ values**2)
    assert chances @ values**4 == pytest.approx(fourth * variance)
    mean = float(chances @ np.exp(slope * values))
    moments = variance, third * variance, fourth * variance
    assert np.log(mean) <= log_mean(slope, 6.0, *moments)


@pytest.mark.parametrize("slope", [0.06, 0.2, 0.5, 0.7])
def test_the_bound_holds_for_a_law_that_leans_to_one_side(slope: float) -> None:
    values, chances = np.array([2.0, -0.5]), np.array([0.2, 0.8])
    variance, third, fourth = (float(chances @ values**k) for k in (2, 3, 4))
    mean = float(chances @ np.exp(slope * values))
    assert np.log(mean) <= log_mean(slope, 2.0, variance, third, fourth)


def test_latents_by_the_normal_law_have_the_moments_that_are_bounded() -> None:
    rng = np.random.default_rng(5)
    z = np.clip(rng.standard_normal(200_000), -CHANNEL_Z_CLIP, CHANNEL_Z_CLIP)
    square = z**2 - 1
    for x, (third, fourth) in ((z, LATENT_MOMENTS), (square, SQUARE_MOMENTS)):
        variance = float(np.mean(x**2))
        assert abs(np.mean(x**3)) < third * variance
        assert np.mean(x**4) < fourth * variance
