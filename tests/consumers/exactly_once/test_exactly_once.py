"""The law of the windows topic: whatever dies, and in whatever order, all is counted once."""

import re
from collections import Counter

import numpy as np
import pytest
from memory import TINY
from prometheus_client import generate_latest
from stage import PARTITIONS, Stage, chaos

from consumers.exactly_once import quality_log
from consumers.exactly_once.fence import Fence
from consumers.exactly_once.snapshots import Snapshots
from consumers.score.settings import WorkerSettings
from consumers.wire import ranges, topics
from consumers.wire.arrow_form import encode
from consumers.wire.block import Block
from consumers.wire.ranges import Open, PersonSaid, Range, encode_said
from consumers.wire.record import Unavailable
from models.showers.batch import Showers
from monitor.detector.tree import grid
from monitor.quality.acknowledgements import Acknowledgement, Mask
from monitor.quality.model_acts import ModelOrder
from monitor.quality.records import to_json


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("seed", [20, 21, 22])
def test_a_judge_that_reads_all_comes_to_what_one_with_snapshots_came_to(seed):
    stage = chaos(seed)
    with_snapshots = stage.finish()
    totals = stage.judge._state.totals
    stage.broker.topics[topics.STATE, 0].clear()
    stage.start_judge()
    for _ in range(400):
        stage.judge._step()
    again = stage.judge._state.monitor
    assert again.showers == with_snapshots.showers
    assert again.order == with_snapshots.order
    assert stage.judge._state.totals == totals


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_snapshot_of_another_model_leaves_the_counts_and_judges_anew():
    stage = chaos(2)
    stage.judge._snapshot()
    snapshots = Snapshots(stage.judge._log)
    before = snapshots.newest()
    assert before.at > 0
    stage.start_judge(fingerprint="other")
    stage.judge._step()
    assert not stage.judge._state.monitor.showers
    assert stage.judge._state.totals["showers"] >= before.totals["showers"] > 0
    assert stage.judge._state.at >= before.at
    assert stage.judge._state.fence.ends.items() >= Fence.from_json(before.fence).ends.items()


def test_regions_that_the_judge_does_not_know_are_said_aloud(caplog):
    stage = Stage(1)
    stage.detector = grid("calo", sectors=1, regions_per_sector=2)
    stage.start_judge()
    for _ in range(30):
        stage.produce()
    stage.finish()
    stage.judge._count()
    shown = generate_latest(stage.registry).decode()
    refused = re.search(r'calodqm_ranges_refused_total{.*reason="region".*} (\S+)', shown)
    assert float(refused[1]) >= 1
    assert "regions that the detector does not have: [2, 3]" in caplog.text


@pytest.mark.parametrize("mask", [Mask(99, ()), Mask(0, (TINY.n_cells,)), Mask(0, (-1,))])
def test_a_mask_of_what_the_detector_does_not_have_is_refused_and_stops_nobody(mask, caplog):
    stage = Stage(1)
    stage.start_judge()
    act = Acknowledgement("A2-1", "Ada", "noise", 1, (mask,))
    said = encode_said(PersonSaid("record", to_json(act)))
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
