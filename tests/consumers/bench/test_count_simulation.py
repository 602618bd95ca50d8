"""Simulated days of good data keep the budget; a reference that is wrong does not."""

from __future__ import annotations

import numpy as np
import pytest

from consumers.bench import count_simulation
from consumers.bench.count_simulation import Setting, false_pages, upper_limit
from monitor.detector.places import Places
from monitor.detector.tree import grid
from monitor.sequential.bank import Bank
from monitor.sequential.budget import LEVEL_SHARE, Allowance, shares
from monitor.sequential.rates import Floors


@pytest.fixture
def short_day(monkeypatch):
    monkeypatch.setattr(count_simulation, "DAY", 7200.0)


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.01])
def test_good_data_keep_a_budget_of_one_page_in_two_hours(short_day, spread):
    setting = Setting(2, 2, n_ref=20_000, spread=spread, allowance=Allowance(1 / 12, 1 / 24))
    found = false_pages(setting, 30, 10, 1)
    assert found.pages <= 30 / 1 + 3 * np.sqrt(30)
    assert found.three_sigma > 10 * (found.pages + found.warnings)


def test_a_wide_spread_of_the_background_breaks_it_without_the_floor(short_day):
    """The counterpart: with bounds off and the rate off by a third, good data page."""
    wrong = Setting(
        1, 2, n_ref=500, allowance=Allowance(1 / 12, 1 / 24),
        floors=Floors(tail=-0.3, density=-0.3), miscoverage=1.9,
    )  # fmt: skip
    assert false_pages(wrong, 10, 10, 1).pages > 0


def test_the_budget_is_shared_out_once():
    places = Places(grid("calo", sectors=4, regions_per_sector=8))
    assert shares(places).sum() == pytest.approx(sum(LEVEL_SHARE.values())) == 1
    page_at = Allowance(30.0).page_at(places)
    assert (1 / page_at).sum() == pytest.approx(1 / (30 * 86_400))


@pytest.mark.slow
def test_many_places_together_alarm_no_more_often_than_one_budget():
    """All places of a detector, each with its share: the first alarm of all comes after the mean."""
    places = Places(grid("calo", sectors=2, regions_per_sector=4))
    horizon = 300.0
    needed = horizon / shares(places)
    rng = np.random.default_rng(2)
    first = []
    for _ in range(60):
        bank = Bank(places.n, np.ones(1), needed)
        regions = places.n_regions
        for t in range(1, 1501):
            counts = places.members @ rng.binomial(200, 0.01, regions)
            n = places.members.sum(1) * 200
            log_e = counts * np.log(2) - n * np.log1p(0.01)
            bank.step(log_e[:, None], 1, t)
            if (bank.total() >= needed).any():
                break
        first.append(t)
    mean, error = np.mean(first), np.std(first) / np.sqrt(len(first))
    assert mean + 3 * error > horizon
    assert min(first) < 1500


@pytest.mark.parametrize("days", [0, -1, float("inf")])
def test_a_budget_that_is_none_is_refused(days):
    with pytest.raises(ValueError, match="days_per_page"):
        Allowance(days)


def test_the_upper_limit_covers():
    rng = np.random.default_rng(1)
    limits = [upper_limit(int(k)) for k in rng.poisson(4.0, 2000)]
    assert np.mean(np.array(limits) < 4.0) < 0.06
    assert np.mean(np.array(limits) < 6.0) > 0.06
