"""Showers of a place beside the others': good data gain nothing, one that bursts hurts no other."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from monitor.sequential.traffic import CROWDED_CAP, SILENT_CAP, traffic

R = 6
MEMBERS = csr_array(np.vstack([np.ones((1, R)), np.eye(R)]))
SHARE = np.array([0.5, 0.2, 0.1, 0.1, 0.099, 0.001])
ALL, NONE = np.ones(R, bool), np.zeros(R, bool)


def of(seen, usual=SHARE, says=ALL, doubted=NONE, rate=100.0):
    return traffic(MEMBERS, MEMBERS, np.asarray(seen), usual, says, doubted, rate)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1.0, 30.0, 1000.0])
def test_good_showers_gain_nothing_whatever_the_rate(rate):
    rng = np.random.default_rng(1)
    total = 0.0
    for _ in range(4000):
        now = of(rng.poisson(rate * SHARE), rate=rate)
        total += np.exp(np.concatenate([now.silence(0.5), now.crowding(2.0)], axis=1))
    assert (total / 4000 <= 1.0).all()


def test_the_whole_detector_is_held_against_nothing():
    now = of([0, 0, 100, 0, 0, 0])
    assert not now.silence(0.5)[0].any()
    assert not now.crowding(2.0)[0].any()


def test_a_place_that_lacks_showers_and_one_that_has_too_many_gain_up_to_the_cap():
    now = of(np.array([0, 200, 100, 100, 99, 1]))
    assert now.silence(0.5)[1].max() == SILENT_CAP
    now = of(np.array([500, 200, 3000, 100, 99, 1]), rate=1000.0)
    assert now.crowding(2.0)[3].max() == CROWDED_CAP


def test_what_one_has_too_many_the_others_have_not_too_few():
    burst = np.array([50, 20, 3000, 10, 10, 0])
    assert of(burst).silence(0.5)[1].max() > 0
    spared = of(burst, doubted=np.arange(R) == 2)
    assert spared.silence(0.5)[[1, 2, 4, 5]].max() < 0
    assert spared.crowding(2.0)[3].max() == CROWDED_CAP


def test_where_the_others_lack_showers_nobody_has_too_many():
    gone = np.array([50, 0, 0, 0, 0, 0])
    assert of(gone).crowding(2.0)[1].max() < 0
    assert of(gone).silence(0.5)[2].max() > 0


def test_a_region_of_which_nothing_is_known_is_held_against_nobody_and_nobody_against_it():
    seen = np.array([50, 0, 10, 10, 10, 0])
    usual = np.where(np.arange(R) == 1, 0.0, SHARE)
    assert not of(seen, usual=usual).silence(0.5)[2].any()
    away = of(seen, says=np.arange(R) != 1)
    assert not away.silence(0.5)[2].any()
    assert away.beside[1] == 30
