"""One of every record that the service writes, of fixed content: what `golden` holds the bytes of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from blocks import GEOMETRY, block
from memory import TINY, MemoryBroker, MemoryLog, MemorySink
from spoken import FORM, entry, window
from standings import alarm

from consumers.exactly_once.fence import Fence
from consumers.exactly_once.quality_log import QualityWriter
from consumers.exactly_once.snapshots import Manifest, Snapshots
from consumers.wire import (
    arrow_form,
    artefact_form,
    control,
    letters,
    ranges,
    strange,
    topics,
    window_form,
)
from consumers.wire.artefact_form import Card
from consumers.wire.block import DecodeError
from consumers.wire.control import Control
from consumers.wire.ranges import Open, PersonSaid, Stream, Worst
from consumers.wire.record import Record
from consumers.wire.strange import StrangeShower
from consumers.wire.window_form import WindowForm
from models.scoring.description import FILES
from monitor.judging.comparison import joint
from monitor.quality.acknowledgements import Acknowledgement, Mask, Masked
from monitor.quality.model_acts import ModelAct, ModelOrder
from monitor.quality.quality import Quality
from monitor.quality.records import to_json
from monitor.quality.reference_acts import Order, ReferenceAct
from monitor.quality.rejection import Rejection
from monitor.quality.verdicts import Verdict
from monitor.windows.channel_sums import ChannelSums

if TYPE_CHECKING:
    from monitor.quality import records

HASH = "0123456789abcdef" * 4
SHADOW = WindowForm((2, 3, 8), TINY.n_cells, TINY.n_layers)

ACTS: dict[str, records.QualityRecord] = {
    "acknowledgement": Acknowledgement(
        "A2-1", "Ada", "noisy cell", 17, (Mask(1, ()), Mask(2, (3, 5))), 10**18, lifted=True
    ),
    "acknowledgement-channels": Acknowledgement(
        "EB-12/34-1", "Ada", "dead crystal", 17, (Mask(11, (), (18_734, 18_735)),)
    ),
    "acknowledgement-short": Acknowledgement("A2-1", "Ada", "noise", 17),
    "order-rollback": ReferenceAct(Order.ROLLBACK, "Ada", 17, since_ns=5),
    "order-conditions": ReferenceAct(Order.CONDITIONS, "Ada", 17, run=3, key="HV 2 kV, µ"),
    "order-frozen": ReferenceAct(Order.FREEZE, "judge", 17, in_force=True),
    "model": ModelAct(ModelOrder.SWITCH, HASH, "Ada", 17, refused="it is not in shadow"),
}
VERDICT = Verdict(
    run=1,
    lumisection=2,
    region=3,
    name="A3",
    quality=Quality.BAD,
    version=2,
    showers=1000,
    exceedances=20,
    expected=10.25,
    known=((10, 20), (21, 30)),
    active=((12, 14),),
    alarms=("A3-1",),
    reason="alarm",
    model=HASH,
    reference="certified",
    software="0.1.0",
    skipped=4,
)
FIRST, FOURTH = (Stream(topics.SHOWERS, "", partition) for partition in (0, 3))
MANIFEST = Manifest(
    at=1234,
    quality_at=56,
    fence=Fence({FIRST: 7, FOURTH: 9}, {FIRST: 100}, {FIRST: {"p/0": 3}}).to_json(),
    chunks=(),
    sha256="",
    totals={"showers": 12, "records": 3, "format": 1},
    turn=4,
    fingerprint="f" * 64,
    models=(HASH, HASH, ""),
)


def windows_topic() -> dict[str, bytes]:
    """Return what stands on the windows topic."""
    sums = tuple(joint(np.array([0.1, 1e-3]), np.array([0.2, 0.5])).to_list())
    full = entry(
        watermark_ns=10**18,
        caught_up=True,
        rejects={"format": 1, "time": 2},
        seqs={"p/0": 3, "µ": 4},
        worst=(Worst(1e-4, 1, 12, 0, 2**64 - 1, 3, 5), Worst(0.0, 1, 13, 1, 7, 3, 6)),
        shadow="s",
        joint=sums,
        shed=((1, 2, 3, 4), (1, 2, 4, 1)),
        shed_until=99,
        masked="ab" * 8,
    )
    beside = window_form.encode_windows([window(1, 0, [1, 4], SHADOW)], SHADOW)
    found = {
        "open": ranges.encode_open(Open(3, "w")),
        "range-idle": ranges.encode_range(entry(begin=20, worst=()), [], FORM),
        "range": ranges.encode_range(entry(), [window(0, 0, [1, 4]), window(1, 1, [2])], FORM),
        "range-shadow": ranges.encode_range(full, [window(0, 0, [1, 4])], FORM, beside),
    }
    by_channel = replace(window(0, 0, [1, 4]), channels=channel_sums())
    found["range-channels"] = ranges.encode_range(entry(), [by_channel], FORM)
    layer = np.array([-64, 0, 0, 200, 0])  # of the cores among the keys
    of_layers = replace(by_channel, channels=replace(channel_sums(), layer=layer))
    found["range-channels-layers"] = ranges.encode_range(entry(), [of_layers], FORM)
    for name, act in ACTS.items():
        found[f"said-{name}"] = ranges.encode_said(PersonSaid("record", to_json(act)))
    return found


def channel_sums() -> ChannelSums:
    """Return sums of some channels."""
    key = np.array([0, 4, 5, 56_202, 183_599])
    columns = [np.arange(5) * step + 1 for step in (1, -70, 90, 1, 300, 40_000)]
    return ChannelSums(key, *columns, np.zeros(5, np.int64))


def state_topic() -> dict[str, bytes]:
    """Return a snapshot: one chunk and its manifest."""
    broker = MemoryBroker()
    Snapshots(MemoryLog(broker)).write(MemorySink(broker), {"a": np.arange(6)}, MANIFEST)
    chunk, manifest = broker.topics[topics.STATE, 0]
    assert chunk.value is not None
    assert manifest.value is not None
    return {"chunk": chunk.value, "manifest": manifest.value}


def quality_topic() -> dict[str, bytes]:
    """Return what a judge publishes."""
    broker = MemoryBroker()
    pen = QualityWriter(MemorySink(broker), 5, set())
    for said in (alarm(), VERDICT, *ACTS.values()):
        pen.publish(said, 77)
    names = ("alarm", "verdict", *ACTS)
    written = broker.topics[topics.QUALITY, 0]
    return {f"quality-{n}": r.value or b"" for n, r in zip(names, written, strict=True)}


def models_topic() -> dict[str, bytes]:
    """Return a card and what is in force."""
    broker = MemoryBroker()
    masked = Masked.of([Mask(1, ()), Mask(2, (3, 5))])
    control.publish(MemorySink(broker), Control(9, HASH, HASH, "", masked, {"seconds": 3}))
    (said,) = broker.topics[topics.MODELS, 0]
    sizes = {name: 1000 + i for i, name in enumerate(FILES)}
    card = Card(HASH, "flux", "2", "pb-lar-504", sizes)
    return {"control": said.value or b"", "card": artefact_form.encode_card(card)}


def strange_shower(seed: int = 0) -> StrangeShower:
    """Return a strange shower of the tiny geometry."""
    rng = np.random.default_rng(seed)
    return StrangeShower(
        partition=1,
        offset=2,
        row=3,
        event_id=2**64 - 1,
        time_ns=4,
        run=5,
        lumisection=6,
        region=7,
        e_inc=8.0,
        p=1e-5,
        p_scores=rng.random(2),
        cells=rng.random(TINY.n_cells).astype(np.float32),
        pull=rng.random(TINY.n_cells).astype(np.float32),
    )


def further() -> dict[str, bytes]:
    """Return showers, strange showers and a dead letter."""
    record = Record("calo.showers.v1", 2, 40, 1_767_225_600_000, b"k", b"spoilt \xff")
    letter = letters.letter_of(record, DecodeError(Rejection.FORMAT, "begins with b'spoilt'"))
    return {
        "showers": arrow_form.encode(block(4), GEOMETRY, compression=None),
        "strange": strange.encode([strange_shower()], "calo.showers.v1", ("a", "b")),
        "letter": letters.encode(letter),
    }


def every() -> dict[str, bytes]:
    """Return the wire form of everything, by name."""
    return windows_topic() | state_topic() | quality_topic() | models_topic() | further()
