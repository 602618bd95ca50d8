"""The simulated detector: rates, times, faults and records as they were asked for."""

import numpy as np
import pytest
from blocks import GEOMETRY, START_NS

from consumers.cli.stream import LUMISECTION_S, Beam, Stream
from consumers.wire.block import DecodeError
from consumers.wire.codec import decode
from models.showers.batch import Showers
from models.showers.pool import Pool, clean
from models.showers.symmetries import Symmetry
from models.simulation.fault_form import parse
from monitor.detector.tree import grid

DETECTOR = grid("calo", sectors=4, regions_per_sector=4)
NAMES = {region.name: region.id for region in DETECTOR.regions}


def pool(n=50):
    rng = np.random.default_rng(0)
    cells = rng.exponential(20, (n, GEOMETRY.n_cells)).astype(np.float32)
    return Showers(cells, rng.uniform(1e3, 2e4, n).astype(np.float32))


def beam(**changes):
    fields = {
        "pool": Pool(pool()),
        "geometry": GEOMETRY,
        "detector": DETECTOR,
        "rate_hz": 400.0,
        "start_ns": START_NS,
        "seconds": 10.0,
    }
    return Beam(**{**fields, **changes})


def blocks(made, *faults):
    stream = Stream(beam(faults=tuple(parse(text, NAMES) for text in faults), **made))
    return [(sent, decode(sent.value, GEOMETRY)) for sent in stream if sent.showers]


@pytest.mark.slow
def test_rate_times_and_partitions_are_those_asked_for():
    sent = blocks({})
    n = sum(record.showers for record, _ in sent)
    assert abs(n - 4000) < 5 * 4000**0.5
    for record, block in sent:
        assert record.showers == block.showers.n
        assert set(block.region // 4) == {record.partition}
        end = START_NS + record.due_s * 1e9
        assert (block.time_ns >= end - 0.25e9).all()
        assert (block.time_ns < end).all()
    assert {record.partition for record, _ in sent} == {0, 1, 2, 3}
    ids = np.concatenate([block.event_id for _, block in sent])
    assert len(set(ids.tolist())) == n


@pytest.mark.slow
def test_a_producers_count_has_no_hole_in_a_key():
    sent = blocks({"partitions": 2})
    assert len({record.key for record, _ in sent}) == 4
    for key in {record.key for record, _ in sent}:
        seqs = [block.seq for record, block in sent if record.key == key]
        assert seqs == list(range(len(seqs)))
    assert len({block.producer for _, block in sent}) == 1


def test_the_same_seed_makes_the_same_stream():
    first, second = (list(Stream(beam(seconds=2.0))) for _ in range(2))
    assert [a.value for a in first] == [b.value for b in second]
    assert [a.value for a in Stream(beam(seconds=2.0, seed=2))] != [b.value for b in second]


@pytest.mark.slow
def test_runs_and_lumisections_follow_each_other():
    sent = blocks({"seconds": 3.0 * LUMISECTION_S, "rate_hz": 40.0, "lumisections_a_run": 2})
    seen = sorted(
        {(int(r), int(s)) for _, b in sent for r, s in zip(b.run, b.lumisection, strict=True)}
    )
    assert seen == [(1, 1), (1, 2), (2, 1)]


@pytest.mark.slow
def test_a_silent_region_sends_nothing_while_it_is_silent():
    sent = blocks({}, "silent:region=B2@4+3")
    times = np.concatenate([block.time_ns for _, block in sent])
    region = np.concatenate([block.region for _, block in sent])
    seconds = (times[region == NAMES["B2"]] - START_NS) / 1e9
    assert not ((seconds >= 4) & (seconds < 7)).any()
    assert (seconds > 7).any()


@pytest.mark.slow
def test_late_records_come_late_with_their_true_times():
    sent = blocks({}, "late:region=A1,seconds=5@2+1")
    late = [record.due_s - (block.time_ns.max() - START_NS) / 1e9 for record, block in sent]
    assert max(late) > 4.9
    order = [record.due_s for record, _ in sent]
    assert order == sorted(order)


def test_corrupt_records_are_spoilt_and_say_so():
    records = list(Stream(beam(faults=(parse("corrupt:share=0.5", NAMES),))))
    spoilt = [record for record in records if not record.showers]
    assert 0.3 < len(spoilt) / len(records) < 0.7
    for record in spoilt:
        with pytest.raises(DecodeError):
            decode(record.value, GEOMETRY)


@pytest.mark.slow
def test_a_fault_strikes_its_region_in_its_time_alone():
    sent = blocks({}, "gain:region=C3,x=1.0@5+5")
    total = [
        (
            block.showers.cells.sum(1),
            block.region == NAMES["C3"],
            (block.time_ns - START_NS) / 1e9 >= 5,
        )
        for _, block in sent
    ]
    energy, struck, after = (np.concatenate(column) for column in zip(*total, strict=True))
    assert energy[struck & after].mean() > 1.8 * energy[~struck].mean()
    assert energy[struck & ~after].mean() < 1.1 * energy[~struck].mean()


@pytest.mark.slow
def test_conditions_shift_by_the_weights_of_the_draw():
    plain = blocks({"seconds": 20.0})
    shifted = blocks({"seconds": 20.0}, "shift:x=2")
    means = [
        np.mean(np.concatenate([block.showers.e_inc for _, block in sent]))
        for sent in (plain, shifted)
    ]
    assert means[1] > 1.2 * means[0]


def drawn(**changes):
    parts = [block.showers for _, block in blocks(changes)]
    return np.concatenate([part.cells for part in parts])


@pytest.mark.slow
def test_showers_without_noise_get_their_own_and_are_digitised():
    one = pool(1)
    seen = drawn(pool=clean(one))
    steps = seen / GEOMETRY.least_count_mev
    np.testing.assert_array_equal(steps, np.rint(steps))
    for cut in GEOMETRY.slices:
        change = seen[:, cut].sum(1) - one.cells[:, cut].sum(1)
        sigma = GEOMETRY.noise_mev * (cut.stop - cut.start) ** 0.5
        assert abs(change.mean()) < 5 * sigma / len(change) ** 0.5
        assert change.std() == pytest.approx(sigma, rel=0.1)


@pytest.mark.slow
def test_showers_are_mirrored_as_the_model_allows_and_not_otherwise():
    one = pool(1)
    for flips, images in (((), 1), (("y",), 2), (("x", "y"), 4)):
        mirrors = Symmetry(flips).images(GEOMETRY)
        seen = drawn(pool=Pool(one), images=mirrors)
        assert len(np.unique(seen, axis=0)) == images
        allowed = {image(one).cells.tobytes() for image in mirrors}
        assert {row.tobytes() for row in seen} == allowed
