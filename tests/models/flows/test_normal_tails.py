"""Normal tails: what sweeps of arithmetic say is what scipy says."""

import numpy as np
import pytest
import torch
from scipy.special import log_ndtr, ndtri_exp

from models.flows.normal_tails import Sheets, quantile, sides


def test_both_sides_are_those_of_a_library():
    x = torch.linspace(-60, 60, 20_001)
    found = sides(x, Sheets(x))
    above, below = log_ndtr(-x.double().numpy()), log_ndtr(x.double().numpy())
    assert found.log_above.numpy() == pytest.approx(above, rel=1e-6, abs=1e-6)
    assert found.log_odds.numpy() == pytest.approx(above - below, rel=1e-6, abs=1e-6)
    assert found.below.numpy() == pytest.approx(np.exp(below), abs=3e-7)


@pytest.mark.parametrize(("nearest", "farthest", "rel"), [(1e-7, 700, 1e-6), (700, 5000, 2e-5)])
def test_a_quantile_is_that_of_a_library_however_far_out(nearest, farthest, rel):
    log_p = -torch.logspace(np.log10(nearest), np.log10(farthest), 20_001, dtype=torch.float64)
    rest = torch.log(-torch.expm1(log_p)).float()
    wanted = ndtri_exp(log_p.numpy())
    found = quantile(log_p.float(), rest, Sheets(rest))
    assert found.numpy() == pytest.approx(wanted, rel=rel, abs=2e-6)
    other = quantile(rest, log_p.float(), Sheets(rest))
    assert torch.equal(other, -found)


def test_sheets_that_are_given_back_are_taken_again():
    sheets = Sheets(torch.zeros(2, 3))
    first = sheets.take()
    sheets.give(first)
    assert sheets.take() is first
    assert sheets.take() is not first
