"""Limits follow from the number of cells: ranges fit into records, and what does not is said once."""

import logging

import numpy as np
import pytest
from memory import TINY, MemoryBroker, MemorySource, PlainScorer

from consumers.app.wiring import check_fits
from consumers.score import saying
from consumers.score.model_follower import ModelFollower
from consumers.score.scoring import ModelsInForce, ScoringModel
from consumers.score.settings import WorkerSettings
from consumers.score.worker import Worker
from consumers.wire import letters, ranges, topics, window_form
from consumers.wire.arrow_form import encode
from consumers.wire.block import Block
from consumers.wire.control import Control, publish
from consumers.wire.letters import DeadLetters
from consumers.wire.ranges import Range
from consumers.wire.record import MAX_RECORD_BYTES
from consumers.wire.user_error import UserError
from consumers.wire.window_form import WindowForm
from models.showers.batch import Showers
from monitor.detector.tree import grid
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.worker import WorkerMetrics
from monitor.quality.acknowledgements import Masked
from monitor.quality.rejection import Rejection

DETECTOR = grid("calo", sectors=2, regions_per_sector=2)
SHAPE = (5, 10, 1024)
N = 4


def block(i, start_ns, seconds=1):
    """Return a shower in each region, the first ones in other seconds than the last."""
    ones = np.ones(N, np.int64)
    times = start_ns + np.arange(N) * seconds // N * 10**9
    cells = np.full((N, TINY.n_cells), 0.5, np.float32)
    showers = Showers(cells, np.ones(N, np.float32))
    return Block(showers, ones.astype(np.uint64), times, ones, ones, np.arange(N), "p", i)


def scored(blocks, **settings):
    broker = MemoryBroker()
    for made in blocks(broker.now_ms * 1_000_000):
        broker.append(topics.SHOWERS, encode(made, TINY), "k", 0)
    source = MemorySource(broker, topics.SHOWERS, most=20)
    source.give(0)
    metrics = WorkerMetrics(Exposition("test"), DETECTOR, topic=topics.SHOWERS)
    lineup = ModelsInForce(ScoringModel(PlainScorer(), (), np.full((1, 3), 0.1)))
    told = WorkerSettings("w", emit_s=0.0, heartbeat_s=1e9, **settings)
    worker = Worker(lambda: lineup, DETECTOR, broker.clients(source), told, metrics)
    for _ in range(4):
        worker._step()
    said = [ranges.header(r.value) for r in broker.topics[topics.WINDOWS, 0]]
    refused = [letters.decode(r.value) for r in broker.topics[topics.REJECTS, 0]]
    return [entry for entry in said if isinstance(entry, Range)], refused


@pytest.mark.parametrize(
    ("n_cells", "n_layers", "most"), [(504, 3, 1024), (6480, 45, 208), (40_500, 45, 34)]
)
def test_the_rows_of_a_record_follow_from_the_number_of_cells(n_cells, n_layers, most):
    form = WindowForm(SHAPE, n_cells, n_layers)
    assert form.most_rows == pytest.approx(most, rel=0.02)
    assert form.most_rows * form.row_bytes <= 2.2 * MAX_RECORD_BYTES


def test_a_detector_of_which_no_row_fits_is_refused_at_start_in_one_line():
    with pytest.raises(UserError, match="the geometry is too fine") as refusal:
        check_fits(WindowForm(SHAPE, 2_000_000, 10), DETECTOR)
    assert "\n" not in str(refusal.value)


def test_a_detector_whose_regions_do_not_all_fit_is_told_so_at_start(caplog):
    check_fits(WindowForm(SHAPE, 40_500, 45), grid("calo", sectors=4, regions_per_sector=4))
    assert not caplog.records
    check_fits(WindowForm(SHAPE, 40_500, 45), grid("calo", sectors=8, regions_per_sector=8))
    assert "blocks of more than 34 regions a data-second are refused, there are 64" in caplog.text


def test_a_block_that_makes_more_rows_than_fit_is_a_dead_letter(monkeypatch):
    monkeypatch.setattr(window_form, "MAX_SPREAD", 3)
    said, refused = scored(lambda start: [block(0, start)])
    assert [letter.reason for letter in refused] == [Rejection.TIME]
    assert "4 rows of windows, at most 3" in refused[0].detail
    assert sum(entry.records for entry in said) == 1


def test_blocks_that_do_not_fit_together_are_scored_one_after_the_other(monkeypatch):
    monkeypatch.setattr(window_form, "MAX_SPREAD", 5)
    scores = []
    score = Worker._score
    monkeypatch.setattr(
        Worker, "_score", lambda self, parts: (scores.append(len(parts)), score(self, parts))
    )
    said, refused = scored(lambda start: [block(i, start) for i in range(6)])
    assert refused == []
    assert max(scores) == 1
    assert sum(entry.showers for entry in said) == 6 * N


def test_windows_that_fit_into_no_record_are_said_once_and_the_partition_goes_on(
    monkeypatch, caplog
):
    monkeypatch.setattr(saying, "MAX_RECORD_BYTES", saying.ROOM_BYTES + 3000)
    with caplog.at_level(logging.ERROR):
        said, _ = scored(lambda start: [block(0, start)])
    (entry,) = [entry for entry in said if entry.records]
    assert entry.rejects == {Rejection.OVERSIZE: 1}
    assert (entry.showers, entry.end) == (0, 1)
    assert len(caplog.records) == 1
    assert "a record takes" in caplog.text


def test_an_operator_can_have_showers_passed_over():
    skip = frozenset({f"{topics.SHOWERS}[0]@1"})
    said, refused = scored(lambda start: [block(i, start) for i in range(3)], skip=skip)
    assert [(letter.offset, letter.reason) for letter in refused] == [(1, Rejection.SKIPPED)]
    assert sum(entry.showers for entry in said) == 2 * N


@pytest.mark.parametrize("cell", [TINY.n_cells, -1])
def test_a_mask_of_cells_that_there_are_not_never_reaches_the_scores(cell):
    broker = MemoryBroker()
    sink = broker.clients(MemorySource(broker, topics.MODELS)).sink
    masked = Masked((), ((0, (cell,)),))
    publish(sink, Control(5, "plain", "plain", "", masked))
    own = ScoringModel(PlainScorer(), (), np.full((1, 3), 0.1))
    follower = ModelFollower(own, lambda _: own, DeadLetters(lambda: sink, lambda _: None))
    (record,) = broker.topics[topics.MODELS, 0]
    assert not follower._hear(record)
    follower._line_up()
    assert follower.lineup().masked == Masked()
    (letter,) = [letters.decode(r.value) for r in broker.topics[topics.REJECTS, 0]]
    assert letter.reason == Rejection.VALUE
