"""A score worker of a whole detector: seeds are checked, and cells that are not there do not count."""

from dataclasses import replace

import numpy as np
import pytest
from memory import MemoryBroker, MemorySource, PlainScorer

from consumers.score.scoring import ModelsInForce, ScoringModel, windows_of
from consumers.score.settings import WorkerSettings
from consumers.score.worker import Worker
from consumers.wire import letters, ranges, topics, window_form
from consumers.wire.arrow_form import encode
from consumers.wire.block import Block
from models.detector.geometry import Geometry, Layer
from models.detector.grids import build
from models.detector.parts import GridLayer, Part
from models.showers.batch import Showers
from monitor.detector.tree import Detector, Region
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.worker import WorkerMetrics
from monitor.quality.rejection import Rejection
from monitor.windows.window import merge

GEOMETRY = Geometry("patch-9", (Layer("crystals", (3, 3), (22.0, 22.0), (0.0, 230.0)),), 40.0)
PART = Part("B", (1, 2), (GridLayer("crystals", (4, 5), patch=(3, 3)),), wrap="columns")
DETECTOR = Detector("toy", (Region(0, "B1", "B"), Region(1, "B2", "B")), build((PART,)))


class PatchScorer(PlainScorer):
    """Keeps what it was told not to look at."""

    geometry = GEOMETRY

    def __init__(self) -> None:
        self.masks: list[np.ndarray | None] = []

    def score(self, showers, absent=None, hidden=None):
        self.masks.append(hidden)
        return replace(super().score(showers), latents=np.zeros((showers.n, 10), np.float32))


def record_of(seeds, region, time_ns):
    n = len(seeds)
    ones = np.ones(n, np.int64)
    cells = np.full((n, 9), 500.0, np.float32)
    showers = Showers(cells, np.ones(n, np.float32), seeds=np.array(seeds, np.uint32))
    times = np.full(n, time_ns)
    return Block(showers, ones.astype(np.uint64), times, ones, ones, np.array(region), "p", 0)


def model_of(scorer):
    return ScoringModel(scorer, (), np.full((1, 3), 0.1), lit_rate=np.full((8, 9), 0.25))


def sent(seeds, region):
    """Return what a worker makes of one record: its scorer, its windows, what it refused."""
    broker = MemoryBroker()
    block = record_of(seeds, region, broker.now_ms * 1_000_000)
    broker.append(topics.SHOWERS, encode(block, GEOMETRY), "k", 0)
    source = MemorySource(broker, topics.SHOWERS, most=20)
    source.give(0)
    metrics = WorkerMetrics(Exposition("test"), DETECTOR, topic=topics.SHOWERS)
    scorer = PatchScorer()
    model = model_of(scorer)
    told = WorkerSettings("w", emit_s=0.0, heartbeat_s=1e9)
    lineup = ModelsInForce(model)
    worker = Worker(lambda: lineup, DETECTOR, broker.clients(source), told, metrics)
    for _ in range(4):
        worker._step()
    windows = []
    for record in broker.topics[topics.WINDOWS, 0]:
        entry = ranges.header(record.value)
        if isinstance(entry, ranges.Range) and entry.showers:
            windows += window_form.windows(
                ranges.parts(record.value, entry)[entry.model], model.form
            )
    refused = [letters.decode(r.value) for r in broker.topics[topics.REJECTS, 0]]
    return scorer, windows, refused


def test_cells_outside_of_the_detector_are_not_looked_at():
    scorer, windows, refused = sent([6, 0], [0, 0])
    assert not refused
    (mask,) = scorer.masks
    assert mask.tolist() == [[False] * 9, [True] * 3 + [False] * 6]
    assert sum(window.n for window in windows) == 2


def test_absent_cells_count_as_those_of_good_showers():
    _, windows, _ = sent([0] * 4000, [0] * 4000)
    lit = sum(window.lit[0] for window in windows) / 4000
    assert lit[3:] == pytest.approx(np.ones(6))  # what is there holds 500 MeV
    assert lit[:3].max() in (0.0, 1.0)  # the showers are the same, so are their draws


def test_a_replay_hides_what_the_worker_hid():
    seeds, region = [0, 6, 1, 0], [0, 0, 0, 0]
    _, windows, _ = sent(seeds, region)
    again = windows_of(
        record_of(seeds, region, windows[0].key.second * 10**9), model_of(PatchScorer()), DETECTOR
    )
    assert merge(again).same_counts(merge(windows))


def test_a_seed_in_another_region_is_refused():
    _, _, refused = sent([0], [1])
    (letter,) = refused
    assert letter.reason is Rejection.REGION
    assert "region is 1 in row 0, its seed 0 lies in region 0" in str(letter)
