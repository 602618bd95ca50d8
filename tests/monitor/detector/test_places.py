"""Places of trees of any depth: who belongs to whom, and what they may cost of false pages."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.detector.places import Places
from monitor.detector.tree import Detector, Level, Region, grid
from monitor.sequential.budget import shares


@st.composite
def trees(draw: st.DrawFn) -> Detector:
    """Return a detector whose sectors lie in one another in any way."""
    n = draw(st.integers(1, 8))
    # Each sector lies in one of those before it, or in none.
    around = {f"s{i}": draw(st.sampled_from([None, *range(i)])) for i in range(n)}
    own = draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=12))
    ids = draw(st.permutations(range(len(own))))
    # What no region lies in is no sector.
    kept: set[str] = set()
    for i in own:
        name: str | None = f"s{i}"
        while name is not None:
            kept.add(name)
            out = around[name]
            name = None if out is None else f"s{out}"
    outer: dict[str, tuple[str, ...]] = {}
    for name in sorted(kept):
        if around[name] is not None:
            out_name = f"s{around[name]}"
            outer[out_name] = (*outer.get(out_name, ()), name)
    regions = tuple(Region(ids[row], f"r{row}", f"s{i}") for row, i in enumerate(own))
    return Detector("calo", regions, outer=outer)


@given(trees())
def test_each_place_has_the_regions_that_lie_in_it_and_no_others(detector: Detector) -> None:
    places = Places(detector)
    members = places.members
    assert members.shape == (places.n, places.n_regions)
    assert members[0].all()
    for place in range(1, places.first_region):
        name = places.names[place]
        inside = [name in detector.path(region.sector) for region in detector.regions]
        assert members[place].tolist() == inside
        assert any(inside)
    assert (members[places.first_region :] == np.eye(places.n_regions)).all()


@given(trees())
def test_two_places_lie_in_each_other_or_apart(detector: Detector) -> None:
    members = Places(detector).members.astype(int)
    common = members @ members.T
    least = np.minimum(members.sum(1)[:, None], members.sum(1))
    assert ((common == 0) | (common == least)).all()


@given(trees())
def test_a_sector_comes_after_those_around_it(detector: Detector) -> None:
    names = list(detector.sectors)
    for sector, out in detector.around.items():
        assert names.index(out) < names.index(sector)
    assert Places(detector).names[1 : 1 + len(names)] == tuple(names)


@given(trees(), st.data())
def test_the_smallest_place_holds_all_and_no_smaller_does(
    detector: Detector, data: st.DataObject
) -> None:
    places = Places(detector)
    rows = data.draw(st.sets(st.integers(0, places.n_regions - 1), min_size=1))
    asked = np.isin(np.arange(places.n_regions), list(rows))
    found = places.smallest(asked)
    assert places.members[found][asked].all()
    holding = places.members[:, asked].all(1)
    assert places.members[found].sum() == places.members[holding].sum(1).min()
    if len(rows) == 1:
        assert places.levels[found] is Level.REGION


@given(trees())
def test_all_sectors_together_cost_what_one_level_may(detector: Detector) -> None:
    places = Places(detector)
    part = shares(places)
    of_sectors = [level is Level.SECTOR for level in places.levels]
    assert np.isclose(part[of_sectors].sum(), 0.1)
    assert np.isclose(part.sum(), 1.0)


@given(st.integers(1, 5), st.integers(1, 5))
def test_a_tree_of_three_levels_is_detector_sectors_and_regions(n: int, each: int) -> None:
    detector = grid("calo", n, each)
    places = Places(detector)
    assert places.levels == (Level.DETECTOR, *[Level.SECTOR] * n, *[Level.REGION] * (n * each))
    sectors = np.repeat(np.eye(n, dtype=bool), each, axis=1)
    assert (places.members[1 : 1 + n] == sectors).all()
    assert detector.sectors == detector.innermost
