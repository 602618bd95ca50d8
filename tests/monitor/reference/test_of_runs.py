"""Good lumisections of runs make a reference: of what is good in them, and only if it is enough."""

import numpy as np
import pytest
from streams import GEOMETRY, Stream, expectation

from monitor.detector.places import Places
from monitor.judging.monitor import Monitor
from monitor.quality.alarms import Alarm
from monitor.reference.of_runs import of_runs
from monitor.windows.window import merge

REGIONS = 4
SECONDS = 69


def sums(stream):
    """The sum of each of three lumisections, and all regions of them as good ones."""
    windows = [stream.next() for _ in range(SECONDS)]
    labels = sorted({window.key[:2] for window in windows})
    found = [merge(w for w in windows if w.key[:2] == label) for label in labels]
    return found, {label: set(range(REGIONS)) for label in labels}


def moved(seed=1, **rest):
    """A stream of a beam line whose showers are not those of the simulation, everywhere."""
    shift = {(region, 0): 0.4 for region in range(REGIONS)}
    return Stream(regions=REGIONS, rate=500, shift=shift, seed=seed, **rest)


def alarms(reference):
    stream = moved(seed=5)
    monitor = Monitor(stream.detector, GEOMETRY, reference)
    said = [record for _ in range(40) for record in monitor.observe(stream.next())]
    return [record for record in said if isinstance(record, Alarm)]


def test_what_all_good_showers_have_is_no_alarm_by_the_reference_that_runs_make():
    found, good = sums(moved())
    reference = of_runs(found, good, expectation(), Places(moved().detector))
    assert alarms(expectation())
    assert not alarms(reference)
    assert (reference.origin, reference.id) == ("certified", "simulated+runs-1")


def test_a_region_that_was_not_good_has_no_part_in_it():
    places = Places(moved().detector)
    whole, good = sums(moved())
    broken, _ = sums(moved(strange={2: 0.5}))
    three = {label: regions - {2} for label, regions in good.items()}
    assert not np.array_equal(
        of_runs(broken, good, expectation(), places).exceedances,
        of_runs(whole, good, expectation(), places).exceedances,
    )
    n = of_runs(broken, three, expectation(), places).n
    assert n == sum(int(w.showers[w.regions != 2].sum()) for w in broken)


def test_too_few_good_showers_make_none():
    found, good = sums(moved())
    with pytest.raises(ValueError, match="good showers"):
        of_runs(found[:1], good, expectation(), Places(moved().detector))
    with pytest.raises(ValueError, match=r"^0 good showers"):
        of_runs(found, {}, expectation(), Places(moved().detector))
