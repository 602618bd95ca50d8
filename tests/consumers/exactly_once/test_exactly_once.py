"""The law of the windows topic: whatever dies, and in whatever order, all is counted once."""

import re
from collections import Counter

import numpy as np
import pytest
from memory import TINY, CountingMonitor, MemoryBroker, MemorySource, PlainScorer
from prometheus_client import generate_latest

from consumers.exactly_once import quality_log
from consumers.exactly_once.fence import Fence
from consumers.exactly_once.snapshots import Snapshots
from consumers.judge.judge import Judge, JudgeSettings
from consumers.judge.state import Standard
from consumers.score.scoring import Lineup, Model
from consumers.score.worker import Worker, WorkerSettings
from consumers.wire import control, ranges, topics
from consumers.wire.block import Block
from consumers.wire.codec import encode
from consumers.wire.ranges import Open, Range, Said, encode_said
from consumers.wire.record import Unavailable
from models.showers.batch import Showers
from monitor.detector.tree import grid
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics
from monitor.display.metrics.worker import WorkerMetrics
from monitor.quality.acknowledgements import Acknowledgement, Mask
from monitor.quality.model_acts import ModelAct, ModelOrder
from monitor.quality.records import to_json

PARTITIONS = 3
DETECTOR = grid("calo", sectors=2, regions_per_sector=2)
SECOND_NS = 10**9


FIRST, SECOND = "a" * 64, "b" * 64


class FirstScorer(PlainScorer):
    hash = FIRST


class SecondScorer(PlainScorer):
    hash = SECOND
    shape = (1, 1, 8)


MODELS = {s.hash: Model(s, (), np.full((1, 3), 0.1)) for s in (FirstScorer(), SecondScorer())}


class Following:
    """The models that a worker scores by: in force when it began, and late to hear of others."""

    def __init__(self, stage):
        self.stage = stage
        self.lineup = None
        self.read()

    def read(self):
        said = control.newest(self.stage.broker.topics[topics.MODELS, 0])
        shadow = MODELS[said.shadow] if said is not None and said.shadow else None
        lineup = Lineup(MODELS[FIRST if said is None else said.primary], shadow)
        if lineup != self.lineup:
            self.lineup = lineup

    def __call__(self):
        if self.stage.rng.random() < 0.3:
            self.read()
        return self.lineup


class Stage:
    """A broker with workers and judges that can be started, stopped in the middle, and revived."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.broker = MemoryBroker()
        self.start_ns = self.broker.now_ms * 1_000_000
        self.sent = {}
        self.seqs = [0] * PARTITIONS
        self.workers = []
        self.judge = None
        self.detector = DETECTOR
        self.owner = dict.fromkeys(range(PARTITIONS))
        exposition = Exposition("test")
        self.worker_metrics = WorkerMetrics(exposition, DETECTOR, topic=topics.SHOWERS)
        self.registry = exposition.registry
        self.judge_metrics = JudgeMetrics(exposition, DETECTOR, topic=topics.WINDOWS)

    def produce(self, *, spoilt=False):
        partition = int(self.rng.integers(PARTITIONS))
        n = int(self.rng.integers(1, 6))
        second = sum(self.seqs) // 6
        cells = self.rng.random((n, TINY.n_cells)).astype(np.float32)
        numbers = np.ones(n, np.int64)
        time_ns = self.start_ns + second * SECOND_NS + np.sort(self.rng.integers(0, SECOND_NS, n))
        block = Block(
            Showers(cells, np.ones(n, np.float32)),
            np.arange(n, dtype=np.uint64),
            time_ns,
            numbers,
            numbers,
            self.rng.integers(0, 4, n),
            f"p{partition}",
            self.seqs[partition],
        )
        self.seqs[partition] += 1
        value = b"spoilt" if spoilt else encode(block, TINY)
        self.broker.append(topics.SHOWERS, value, "k", partition)
        if not spoilt:
            for t in time_ns:
                key = (1, 1, int(t // SECOND_NS))
                self.sent[key] = self.sent.get(key, 0) + 1

    def start_worker(self):
        source = MemorySource(self.broker, topics.SHOWERS)
        settings = WorkerSettings(f"w{len(self.workers)}", emit_s=0.0, heartbeat_s=1e9)
        clients = self.broker.clients(source)
        worker = Worker(Following(self), DETECTOR, clients, settings, self.worker_metrics)
        self.workers.append((worker, source))
        return source

    def assign(self, partition, source, *, tell_old):
        old = self.owner[partition]
        if old is not None and tell_old:
            old.take(partition)
        source.give(partition)
        self.owner[partition] = source

    def start_judge(self):
        source = MemorySource(self.broker, topics.WINDOWS, most=5)
        source.give(0)

        def make():
            return CountingMonitor(self.detector)

        def standard_of(model):
            return Standard(model, model, MODELS[model].form, MODELS[model].expected_rate, make)

        settings = JudgeSettings("j", FIRST, "f", snapshot_s=1e9, show_s=1e9, shadow_s=1)
        clients = self.broker.clients(source)
        self.judge = Judge(standard_of, clients, settings, self.judge_metrics, lambda *_: None)

    def step_judge(self):
        self.judge._step()
        self.judge._tell_models()

    def order(self):
        """Order any change of the models; the judge refuses what cannot be done."""
        order = list(ModelOrder)[self.rng.integers(3)]
        act = ModelAct(order, (FIRST, SECOND)[self.rng.integers(2)], "w", self.broker.now_ms)
        value = encode_said(Said("record", to_json(act)))
        self.broker.append(topics.WINDOWS, value, "said", 0)

    def done(self):
        """Return how many orders of each kind were carried out."""
        said = quality_log.read(self.broker.topics[topics.QUALITY, 0])
        return Counter(r.order for r in said if isinstance(r, ModelAct) and not r.refused)

    def step_worker(self):
        if self.workers:
            self.workers[self.rng.integers(len(self.workers))][0]._step()

    def finish(self):
        """Let a last worker and a last judge come to the end of what is there."""
        source = self.start_worker()
        for partition in range(PARTITIONS):
            self.assign(partition, source, tell_old=False)
        worker = self.workers[-1][0]
        for _ in range(200):
            worker._step()
        self.broker.now_ms += 30_000
        worker._settings = WorkerSettings("last", emit_s=0.0, heartbeat_s=-1.0)
        worker._step()
        for _ in range(400):
            self.judge._step()
        return self.judge._bench.monitor


def chaos(seed, actions=250, *, models=False):  # noqa: C901 - a list of what may happen
    stage = Stage(seed)
    stage.start_judge()
    for _ in range(actions):
        if models and stage.rng.random() < 0.08:
            stage.order()
        match int(stage.rng.choice(9, p=[0.3, 0.32, 0.2, 0.04, 0.05, 0.03, 0.02, 0.02, 0.02])):
            case 0:
                stage.produce()
            case 1:
                stage.step_worker()
            case 2:
                stage.step_judge()
            case 3:
                stage.start_worker()
            case 4 if stage.workers:  # a hand-over in good order
                source = stage.workers[-1][1]
                stage.assign(int(stage.rng.integers(PARTITIONS)), source, tell_old=True)
            case 5 if stage.workers:  # the old owner lives on and does not know
                source = stage.workers[-1][1]
                stage.assign(int(stage.rng.integers(PARTITIONS)), source, tell_old=False)
            case 6 if stage.workers:  # killed: what it had not said is gone
                stage.workers.pop(int(stage.rng.integers(len(stage.workers))))
            case 7:
                stage.start_judge()  # the old one is killed
            case 8:
                stage.judge._snapshot()
            case _:
                stage.produce(spoilt=True)
    return stage


@pytest.mark.parametrize("seed", range(15))
def test_whatever_dies_every_shower_is_judged_once(seed):
    stage = chaos(seed)
    monitor = stage.finish()
    assert monitor.showers == stage.sent


@pytest.mark.slow
def test_whatever_dies_while_models_change_every_shower_is_judged_once():
    done = Counter()
    for seed in range(100, 112):
        stage = chaos(seed, 500, models=True)
        monitor = stage.finish()
        assert monitor.showers == stage.sent, seed
        done += stage.done()
    assert done[ModelOrder.ANNOUNCE] > 10
    assert done[ModelOrder.SWITCH] > 5


@pytest.mark.parametrize("seed", [20, 21, 22])
def test_a_judge_that_reads_all_comes_to_what_one_with_snapshots_came_to(seed):
    stage = chaos(seed)
    with_snapshots = stage.finish()
    totals = stage.judge._bench.totals
    stage.broker.topics[topics.STATE, 0].clear()
    stage.start_judge()
    for _ in range(400):
        stage.judge._step()
    again = stage.judge._bench.monitor
    assert again.showers == with_snapshots.showers
    assert again.order == with_snapshots.order
    assert stage.judge._bench.totals == totals


def test_a_worker_that_was_thought_dead_is_fenced_off():
    stage = Stage(0)
    stage.start_judge()
    for _ in range(30):
        stage.produce()
    stage.assign(0, stage.start_worker(), tell_old=True)
    zombie = stage.workers[-1][0]
    zombie._step()
    stage.assign(0, stage.start_worker(), tell_old=False)
    heir = stage.workers[-1][0]
    for _ in range(12):
        heir._step()
        zombie._step()
    fence, reasons = Fence(), []
    for record in stage.broker.topics[topics.WINDOWS, 0]:
        entry = ranges.header(record.value)
        if isinstance(entry, Open):
            fence.open(record.offset, entry)
        elif isinstance(entry, Range):
            reasons.append(fence.accept(entry))
    assert "fenced" in reasons
    assert stage.finish().showers == stage.sent


def test_a_worker_says_how_old_its_brokers_answer_is():
    stage = Stage(1)
    source = stage.start_worker()
    stage.assign(0, source, tell_old=False)
    worker = stage.workers[-1][0]
    worker._settings = WorkerSettings("w", emit_s=0.0, heartbeat_s=-1.0)
    for away_s in (0.0, 7.0):
        source.away_s = away_s
        worker._step()
        worker._step()
        newest = ranges.header(stage.broker.topics[topics.WINDOWS, 0][-1].value)
        assert newest.answered_ms == away_s * 1000


def test_a_damaged_snapshot_is_not_believed():
    stage = chaos(1)
    stage.judge._snapshot()
    state = stage.broker.topics[topics.STATE, 0]
    chunk = next(i for i, record in enumerate(state) if record.key.startswith(b"chunk"))
    for i, record in enumerate(state):
        if record.key.startswith(b"chunk"):
            damaged = bytearray(record.value)
            damaged[len(damaged) // 2] ^= 1
            state[i] = type(record)(
                record.topic, 0, i, record.timestamp_ms, record.key, bytes(damaged)
            )
    assert chunk >= 0
    stage.start_judge()
    assert stage.finish().showers == stage.sent


def test_a_snapshot_of_another_model_leaves_the_counts_and_judges_anew():
    stage = chaos(2)
    stage.judge._snapshot()
    snapshots = Snapshots(stage.judge._log)
    before = snapshots.newest()
    assert before.at > 0
    stage.start_judge()
    stage.judge._settings = JudgeSettings("j", FIRST, "other", snapshot_s=1e9, show_s=1e9)
    stage.judge._step()
    assert stage.judge._bench.at >= before.at
    assert stage.judge._bench.fence.ends.items() >= dict(before.fence["ends"]).items()


def test_regions_that_the_judge_does_not_know_are_said_aloud(caplog):
    stage = Stage(1)
    stage.detector = grid("calo", sectors=1, regions_per_sector=2)
    stage.start_judge()
    for _ in range(30):
        stage.produce()
    stage.finish()
    shown = generate_latest(stage.registry).decode()
    refused = re.search(r'calodqm_ranges_refused_total{.*reason="region".*} (\S+)', shown)
    assert float(refused[1]) >= 1
    assert "regions that the detector does not have: [2, 3]" in caplog.text


@pytest.mark.parametrize("mask", [Mask(99, ()), Mask(0, (TINY.n_cells,)), Mask(0, (-1,))])
def test_a_mask_of_what_the_detector_does_not_have_is_refused_and_stops_nobody(mask, caplog):
    stage = Stage(1)
    stage.start_judge()
    act = Acknowledgement("A2-1", "Ada", "noise", 1, (mask,))
    said = encode_said(Said("record", to_json(act)))
    stage.broker.append(topics.WINDOWS, said, "said", 0)
    for _ in range(30):
        stage.produce()
    assert stage.finish().showers == stage.sent
    assert quality_log.read(stage.broker.topics[topics.QUALITY, 0]) == []
    assert "the detector does not have all that Ada masks" in caplog.text


@pytest.mark.parametrize("name", ["run", "lumisection"])
def test_a_record_that_would_make_too_many_windows_is_rejected(name):
    stage = Stage(1)
    n = 2000
    columns = dict.fromkeys(("run", "lumisection", "region"), np.zeros(n, np.int64))
    columns[name] = np.arange(n) + 2**31
    showers = Showers(np.ones((n, TINY.n_cells), np.float32), np.ones(n, np.float32))
    time_ns = np.full(n, stage.start_ns)
    block = Block(showers, np.arange(n, dtype=np.uint64), time_ns, **columns, producer="", seq=0)
    stage.broker.append(topics.SHOWERS, encode(block, TINY), "k", 0)
    stage.assign(0, stage.start_worker(), tell_old=False)
    for _ in range(4):
        stage.step_worker()
    found = [ranges.header(r.value) for r in stage.broker.topics[topics.WINDOWS, 0]]
    rejected = Counter()
    for entry in found:
        if isinstance(entry, Range):
            rejected.update(entry.rejects)
    assert rejected == {"time": 1}


def test_nothing_is_lost_while_the_broker_is_away():
    stage = Stage(0)
    stage.start_judge()
    source = stage.start_worker()
    stage.assign(0, source, tell_old=False)
    worker = stage.workers[-1][0]
    for _ in range(30):
        stage.produce()
    worker._settings = WorkerSettings("w", emit_s=1e9)
    worker._step()
    worker._step()
    stage.broker.down = True
    with pytest.raises(Unavailable):
        worker._emit(1e12)
    stage.broker.down = False
    stage.workers.clear()  # what `keep_running` does: the job begins anew
    assert stage.finish().showers == stage.sent


def test_a_hole_in_a_producers_count_shows_across_workers():
    stage = Stage(0)
    for worker in range(3):
        for _ in range(5):
            stage.produce()
        stage.seqs = [seq + 2 for seq in stage.seqs] if worker < 2 else stage.seqs
        source = stage.start_worker()
        for partition in range(PARTITIONS):
            stage.assign(partition, source, tell_old=True)
        for _ in range(10):
            stage.workers[-1][0]._step()
    entries = [ranges.header(r.value) for r in stage.broker.topics[topics.WINDOWS, 0]]
    missing = sum(e.missing for e in entries if isinstance(e, Range))
    seen_after = sum(
        any(e.partition == p and e.records for e in entries[-10:] if isinstance(e, Range))
        for p in range(PARTITIONS)
    )
    assert missing >= 2
    assert seen_after > 0
