"""From records with seeds to an alarm that names the channel, its mask, and what workers do then."""

from dataclasses import replace

import numpy as np
import pytest
from channel_stream import barrel
from memory import MemoryBroker, MemorySource, PlainScorer

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
from models.detector.geometry import Geometry, Layer
from models.scoring.scales import LEVELS, P_EDGES
from models.showers.batch import Showers
from monitor.detector.tree import grid
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics
from monitor.display.metrics.worker import WorkerMetrics
from monitor.judging.monitor import Monitor
from monitor.quality.acknowledgements import Acknowledgement, parse_masks
from monitor.quality.alarms import Alarm, Kind, State
from monitor.quality.records import to_json
from monitor.reference.expectation import Expectation
from monitor.windows.channel_sums import Standard

CHANNELS = barrel((1, 2), (8, 8), card=4)
DETECTOR = replace(grid("barrel", 1, 2), channels=CHANNELS)
CRYSTALS = Geometry("crystals", (Layer("crystals", (5, 5), (20, 20), (0, 200)),), 0.1)
V, FIRST, DEAD = 25, "a" * 64, 70
SECOND_NS = 10**9


class CellScorer(PlainScorer):
    """Cells are normal about 3, and a latent says so; p-values are flat."""

    geometry = CRYSTALS
    hash = FIRST
    shape = (1, 1, 8)

    def score(self, showers, absent=None, hidden=None):
        rng = np.random.default_rng(abs(int(showers.cells.sum() * 1e3)))
        p = rng.random((showers.n, 1))
        scored = super().score(replace(showers, cells=np.zeros_like(showers.cells)))
        latents = np.concatenate([showers.cells - 3, rng.standard_normal((showers.n, 1))], axis=1)
        return replace(
            scored, scores=-np.log(p).astype(np.float32), p=p, p_combined=p[:, 0],
            latents=latents.astype(np.float32),
        )  # fmt: skip


def expectation() -> Expectation:
    n, flat = 50_000.0, np.diff(P_EDGES)
    return Expectation(
        showers=np.full(1, n), exceedances=np.array([LEVELS]) * n, p_counts=np.tile(flat * n, (2, 1)),
        latent_mean=np.zeros((1, V + 1)), latent_square=np.ones((1, V + 1)),
        square_var=np.full((1, V + 1), 2.0), latent_showers=np.full(1, n),
        lit_rate=np.full((1, V), 0.997), layer_energy=np.full((1, 1), 75.0),
        origin="certified", id="simulated",
    )  # fmt: skip


STANDARD = Standard(
    np.zeros((1, V + 1), np.float32), np.ones((1, V + 1), np.float32), np.full((1, V), 0.997)
)
MODEL = ScoringModel(CellScorer(), (), np.array([LEVELS]), lit_rate=STANDARD.lit, standard=STANDARD)


class Site:
    """A broker with one worker and one judge, and a producer of showers anywhere in the barrel."""

    def __init__(self):
        self.broker = MemoryBroker()
        self.rng = np.random.default_rng(3)
        self.second = self.broker.now_ms // 1000
        self.dead: tuple[int, ...] = ()
        self.ours: ModelsInForce | None = None
        exposition = Exposition("test")
        source = MemorySource(self.broker, topics.SHOWERS, most=50)
        source.give(0)
        self.worker = Worker(
            self.lineup, DETECTOR, self.broker.clients(source),
            WorkerSettings("w", emit_s=0.0, heartbeat_s=1e9),
            WorkerMetrics(exposition, DETECTOR, topic=topics.SHOWERS),
        )  # fmt: skip
        windows = MemorySource(self.broker, topics.WINDOWS, most=50)
        windows.give(0)
        model = JudgingModel(
            FIRST, "plain", MODEL.form, MODEL.expected_rate,
            lambda: Monitor(DETECTOR, CRYSTALS, expectation()),
        )  # fmt: skip
        settings = JudgeSettings("j", FIRST, "f", snapshot_s=1e9, show_s=1e9)
        metrics = JudgeMetrics(exposition, DETECTOR, topic=topics.WINDOWS)
        self.judge = Judge(
            lambda _: model, self.broker.clients(windows), settings, metrics, lambda *_: None
        )

    def lineup(self):
        said = control.newest(self.broker.topics[topics.MODELS, 0])
        fresh = ModelsInForce(MODEL) if said is None else ModelsInForce(MODEL, masked=said.masked)
        if self.ours is None or fresh.masked != self.ours.masked:
            self.ours = fresh
        return self.ours

    def play(self, seconds, rate=150):
        for _ in range(seconds):
            good = np.setdiff1d(np.arange(len(CHANNELS)), self.dead)
            seeds = self.rng.choice(good, rate).astype(np.uint32)
            cells = self.rng.normal(3, 1, (rate, V))
            cells[np.isin(CHANNELS.patches(seeds), self.dead)] = 0.0
            times = self.second * SECOND_NS + np.arange(rate) * (SECOND_NS // rate)
            ones = np.ones(rate, np.int64)
            showers = Showers(cells.astype(np.float32), np.ones(rate, np.float32), {}, seeds)
            block = Block(
                showers, np.arange(rate, dtype=np.uint64), times, ones, ones,
                CHANNELS.region[seeds].astype(np.int64), "p", None,
            )  # fmt: skip
            self.broker.append(topics.SHOWERS, encode(block, CRYSTALS), "k", 0)
            self.broker.now_ms += 1000
            self.second += 1
            self.worker._step()
            for _ in range(3):
                self.judge._step()
            self.judge._tell_models()

    def said(self):
        return [
            r
            for r in quality_log.read(self.broker.topics[topics.QUALITY, 0])
            if isinstance(r, Alarm)
        ]

    def act(self, record):
        value = encode_said(PersonSaid("record", to_json(record)))
        self.broker.append(topics.WINDOWS, value, "said", 0)


@pytest.mark.slow
def test_a_dead_channel_is_named_masked_and_then_quiet_while_its_neighbour_is_watched():
    site = Site()
    site.play(40)
    assert site.said() == []
    site.dead = (DEAD,)
    site.play(40)
    (found, *_) = site.said()
    assert (found.place, found.kind) == (CHANNELS.name(DEAD), Kind.DEAD)
    masks = parse_masks(found.place, DETECTOR, CRYSTALS)
    site.act(Acknowledgement(found.id, "Ada", "dead crystal", site.broker.now_ms * 10**6, masks))
    site.play(5)
    assert site.said()[-1].state is State.CLEARED
    assert site.worker._lineup.masked.channels == (DEAD,)
    n = len(site.said())
    site.play(40)
    assert len(site.said()) == n
    site.dead = (DEAD, DEAD + 1)
    site.play(40)
    assert site.said()[-1].place == CHANNELS.name(DEAD + 1)
