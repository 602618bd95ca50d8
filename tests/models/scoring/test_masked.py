"""Masked cells: left out of scores, trusted again, and only where the others can stand in for them."""

import numpy as np
import pytest
import tiny
from streams import GEOMETRY, Stream, expectation

from consumers.score.scoring import ModelsInForce, ScoringModel
from models.showers.batch import Showers
from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.acknowledgements import NOTHING_MASKED, Acknowledgement, Mask, Masked
from monitor.quality.alarms import Alarm

CELL = 3


def test_masks_add_up_and_the_same_cells_have_the_same_digest():
    both = Masked.of([Mask(2, (5, 1)), Mask(7, ()), Mask(2, (5, 9)), Mask(7, (3,))])
    assert both == Masked((7,), ((2, (1, 5, 9)),))
    assert Masked.from_json(both.to_json()) == both
    assert both.digest == Masked.of([Mask(2, (1, 5, 9))]).digest
    assert both.digest != Masked.of([Mask(3, (1, 5, 9))]).digest
    assert NOTHING_MASKED.digest == Masked((1,)).digest == ""


def test_only_showers_of_masked_regions_are_scored_without_the_cells():
    artefact = tiny.artefact()
    model = ScoringModel(artefact.scorer("cpu"), (), np.full((2, 3), 0.1))
    lineup = ModelsInForce(model, masked=Masked.of([Mask(3, (300, 310))]))
    assert lineup.unlearnt() == [(model, (300, 310))]
    model.scorer.learn((300, 310), tiny.showers())
    assert lineup.unlearnt() == []
    good = tiny.showers("gamma_test", 40)
    cells = good.cells.copy()
    cells[:, [300, 310]] = 1e5
    showers = Showers(cells, good.e_inc, good.conditions)
    region = np.arange(40) % 4
    assert lineup.absent(region[region != 3]) is None
    scored = model.scorer.score(showers, lineup.absent(region))
    plain = model.scorer.score(showers)
    mine = np.flatnonzero(region == 3)
    alone = model.scorer.score(showers[mine], lineup.absent(region[mine]))
    np.testing.assert_array_equal(scored.p_combined[region == 3], alone.p_combined)
    np.testing.assert_array_equal(scored.latents[region != 3], plain.latents[region != 3])
    assert np.median(scored.p_combined[region == 3]) > 0.1
    assert np.max(scored.p_combined[region != 3]) < 0.1


def test_what_the_crew_takes_back_is_kept_no_longer():
    judge = Monitor(Stream().detector, GEOMETRY, expectation(50_000))
    judge.acknowledge(Acknowledgement("a", "Ada", "board", 1, (Mask(2, (CELL,)),)))
    assert judge.masked().cells == ((2, (CELL,)),)
    judge.acknowledge(Acknowledgement("a", "Ada", "mended", 2, lifted=True))
    assert judge.masked() == NOTHING_MASKED
    assert judge.acknowledgements() == ()


def judged(*, masked):
    """Return the alarms of a region with a masked cell after many of its showers turned strange."""
    stream = Stream()
    reference = expectation(50_000, np.random.default_rng(5))
    judge = Monitor(stream.detector, GEOMETRY, reference, MonitorSettings())
    judge.acknowledge(Acknowledgement("a", "Ada", "board", 1, (Mask(2, (CELL,)),)))
    said = []
    for second in range(70):
        stream.strange = {2: 0.2} if second > 40 else {}
        said += judge.observe(stream.next(), masked=masked)
    return judge, [record for record in said if isinstance(record, Alarm)]


@pytest.mark.parametrize(
    ("masked", "found"),
    [
        (True, True),
        (False, False),  # its p-values still hold the bad cell
    ],
)
def test_p_values_of_a_region_count_once_they_are_made_without_its_masked_cells(masked, found):
    judge, alarms = judged(masked=masked)
    assert bool(alarms) is found
    heir = Monitor(
        judge.places.detector, GEOMETRY, judge.watch.references.certified, judge.settings
    )
    heir.restore(judge.state())
    assert heir.masked() == judge.masked() == Masked.of([Mask(2, (CELL,))])
