"""A broker in memory with workers and judges that die at any moment, for the law of the topics."""

from collections import Counter

import numpy as np
from memory import TINY, CountingMonitor, MemoryBroker, MemorySource, PlainScorer

from consumers.exactly_once import quality_log
from consumers.judge.judge import Judge
from consumers.judge.models import JudgingModel
from consumers.judge.settings import JudgeSettings
from consumers.score.scoring import ModelsInForce, ScoringModel
from consumers.score.settings import WorkerSettings
from consumers.score.worker import Worker
from consumers.wire import control, topics
from consumers.wire.arrow_form import encode
from consumers.wire.block import Block
from consumers.wire.ranges import PersonSaid, encode_said
from models.showers.batch import Showers
from monitor.detector.tree import grid
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics
from monitor.display.metrics.worker import WorkerMetrics
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


MODELS = {
    s.hash: ScoringModel(s, (), np.full((1, 3), 0.1)) for s in (FirstScorer(), SecondScorer())
}


class Following:
    """The models that a worker scores by: in force when it began, and late to hear of others."""

    def __init__(self, stage):
        self.stage = stage
        self.lineup = None
        self.read()

    def read(self):
        said = control.newest(self.stage.broker.topics[topics.MODELS, 0])
        shadow = MODELS[said.shadow] if said is not None and said.shadow else None
        lineup = ModelsInForce(MODELS[FIRST if said is None else said.primary], shadow)
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

    def start_worker(self, **told):
        source = MemorySource(self.broker, topics.SHOWERS)
        given = {"name": f"w{len(self.workers)}", "emit_s": 0.0, "heartbeat_s": 1e9} | told
        settings = WorkerSettings(**given)
        clients = self.broker.clients(source)
        worker = Worker(
            Following(self), DETECTOR, clients, settings, self.worker_metrics,
            notices=self.notices,
        )  # fmt: skip
        self.workers.append((worker, source))
        return source

    def notices(self):
        found = map(control.notice_of, self.broker.topics[topics.MODELS, 0])
        return {notice.stream: notice for notice in found if notice is not None}

    def assign(self, partition, source, *, tell_old):
        old = self.owner[partition]
        if old is not None and tell_old:
            old.take(partition)
        source.give(partition)
        self.owner[partition] = source

    def start_judge(self, **told):
        source = MemorySource(self.broker, topics.WINDOWS, most=5)
        source.give(0)

        def make():
            return CountingMonitor(self.detector)

        def judging_model_of(model):
            return JudgingModel(model, model, MODELS[model].form, MODELS[model].expected_rate, make)

        given = {"fingerprint": "f", "snapshot_s": 1e9, "show_s": 1e9, "shadow_s": 1} | told
        settings = JudgeSettings("j", FIRST, **given)
        clients = self.broker.clients(source)
        self.judge = Judge(judging_model_of, clients, settings, self.judge_metrics, lambda *_: None)

    def step_judge(self):
        self.judge._step()
        self.judge._tell_models()

    def order(self):
        """Order any change of the models; the judge refuses what cannot be done."""
        order = list(ModelOrder)[self.rng.integers(3)]
        act = ModelAct(order, (FIRST, SECOND)[self.rng.integers(2)], "w", self.broker.now_ms)
        value = encode_said(PersonSaid("record", to_json(act)))
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
        return self.judge._state.monitor


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
