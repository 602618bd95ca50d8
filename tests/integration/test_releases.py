"""What releases of the past wrote is read by this one, record by record."""

import json
from collections import Counter

import numpy as np
import pytest
import released
from memory import MemoryBroker, MemoryLog

from consumers.app.wiring import form_of
from consumers.exactly_once import quality_log
from consumers.exactly_once.fence import Fence
from consumers.exactly_once.snapshots import Snapshots
from consumers.wire import artefact_form, codec, control, ranges, strange, topics, window_form
from consumers.wire.ranges import Open, Range
from models.scoring.artefact import Artefact
from monitor.quality.alarms import Alarm
from monitor.quality.model_acts import ModelAct
from monitor.quality.reference_acts import ReferenceAct
from monitor.quality.verdicts import Verdict

VERSIONS = sorted(path.name for path in released.RELEASES.iterdir())


@pytest.fixture(scope="module", params=VERSIONS)
def version(request):
    return request.param


@pytest.fixture(scope="module")
def told(version):
    return json.loads((released.RELEASES / version / "told.json").read_text())


@pytest.fixture(scope="module")
def artefact(version):
    return Artefact.load(released.RELEASES / version / "artefact")


@pytest.fixture(scope="module")
def broker(version):
    """Return a broker in memory that holds the topics of the release."""
    made = MemoryBroker()
    for row in released.kept(version):
        made.append(row["topic"], row["value"], (row["key"] or b"").decode(), row["partition"])
    return made


def test_the_release_before_is_kept():
    assert released.BEFORE["version"] in VERSIONS


def test_every_record_stands_at_its_place(broker, told):
    counts = Counter()
    for (name, _), records in broker.topics.items():
        counts[name] += len(records)
    assert counts == told["records"]


def accepted(broker, artefact):
    """Yield the ranges that count, each with the windows by either model."""
    fence = Fence()
    for record in broker.topics[topics.WINDOWS, 0]:
        entry = ranges.header(record.value)
        if isinstance(entry, Open):
            fence.open(record.offset, entry)
        elif isinstance(entry, Range) and not fence.accept(entry):
            parts = ranges.parts(record.value, entry).items()
            yield entry, {m: window_form.windows(value, form_of(artefact)) for m, value in parts}


def test_windows_of_a_release_count_every_shower_once(broker, told, artefact):
    stated, counted = 0, Counter()
    for entry, windows in accepted(broker, artefact):
        stated += entry.showers
        counted.update({model: sum(w.n for w in found) for model, found in windows.items()})
    assert len(counted) == 2
    assert {stated, *counted.values()} == {told["showers"]}


def test_all_that_a_release_said_is_understood(broker):
    records = broker.topics[topics.QUALITY, 0]
    said = quality_log.read(records)
    assert len(said) == sum(b'"record"' in record.value for record in records)
    assert {type(record) for record in said} >= {Alarm, Verdict, ModelAct, ReferenceAct}


def test_models_of_a_release_are_put_together_and_score(broker, artefact):
    records = broker.topics[topics.MODELS, 0]
    told = control.newest(records)
    assert told.primary == artefact.hash
    assert set(artefact_form.cards(records)) == {told.primary, told.shadow}
    again = artefact_form.gather(records, told.shadow, artefact.geometry, Artefact.of_files)
    block = codec.decode(broker.topics[topics.SHOWERS, 0][0].value, artefact.geometry)
    scored = again.scorer("cpu").score(block.showers)
    assert np.isfinite(scored.p_combined[scored.valid]).all()


def test_a_snapshot_of_a_release_is_whole(broker, told):
    snapshots = Snapshots(MemoryLog(broker))
    manifest = snapshots.newest()
    assert manifest.totals["showers"] == told["showers"]
    assert snapshots.state(manifest)


def test_strange_showers_of_a_release_are_shown(broker, artefact):
    for record in broker.topics[topics.ANOMALIES, 0]:
        assert strange.decode(record.value, artefact.geometry)
