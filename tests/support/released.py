"""Releases of the past: their code out of the history, and topics as they wrote them.

`python tests/support/released.py TREE VERSION` lets the service of a checked-out release judge a
minute of showers and keeps what it wrote in tests/releases/VERSION, for every later one to read.
It speaks to the service by its command line alone, so that it can be pointed at any release.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
from deployed import VERSIONS
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from pyarrow import feather
from services import ROOT, Services, newest_manifest
from waiting import wait_until

from consumers.app.embedded import EmbeddedBroker
from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection
from consumers.wire import topics

RELEASES = ROOT / "tests" / "releases"
BEFORE = VERSIONS["calodqm"]["before"][-1]
"""The release that this one comes after: its version and its commit."""

PARTITIONS = 2
KEPT_SHOWERS = 2
"""Records of showers that are kept of each partition: the others have been judged."""

DETECTOR = """\
name = "released"
region = [{id = 0, name = "A1", sector = "A"}, {id = 1, name = "A2", sector = "A"}]
"""
SETTINGS = {
    "CALODQM_EMIT_S": "4",
    "CALODQM_SNAPSHOT_S": "6",
    "CALODQM_SHADOW_S": "5",
    "CALODQM_PARTITIONS": str(PARTITIONS),
}
FAULT = "gain:region=A2,x=0.3@10+600"
FAULT_GOES_ON = "gain:region=A2,x=0.3@0+600"


def check_out(commit: str, folder: Path) -> Path | None:
    """Lay the tree of a commit into a folder; None where the history has no such commit."""
    packed = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, capture_output=True, check=False
    ).stdout
    if not packed:
        return None
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def placed(folder: Path) -> dict[str, str]:
    """Return the settings of a service on the topics of a release whose files are in `folder`."""
    return SETTINGS | {
        "CALODQM_DETECTOR": str(folder / "detector.toml"),
        "CALODQM_ARTEFACT": str(folder / "artefact"),
    }


def _topics() -> list[str]:
    told = vars(topics).values()
    return [name for name in told if isinstance(name, str) and name.startswith("calo.")]


def read_all(bootstrap: str) -> dict[str, list[tuple[object, ...]]]:
    """Return (partition, offset, time, key, value) of every record, by topic."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    names = _topics()
    wanted = [TopicPartition(n, p) for n in names for p in consumer.partitions_for_topic(n) or ()]
    consumer.assign(wanted)
    consumer.seek_to_beginning(*wanted)
    ends = {where: end for where, end in consumer.end_offsets(wanted).items() if end}
    found = defaultdict(list)
    while any(consumer.position(where) < end for where, end in ends.items()):
        for records in consumer.poll(500).values():
            for r in records:
                found[r.topic].append((r.partition, r.offset, r.timestamp, r.key, r.value))
    consumer.close()
    return {name: sorted(records) for name, records in found.items()}


def keep(bootstrap: str, path: Path) -> dict[str, int]:
    """Write all topics into one file and return how many records each has.

    What nobody can read again has no value there, only its place: showers beyond the first, which
    were judged, and chunks of snapshots that a later one has replaced.
    """
    found = read_all(bootstrap)
    newest = {(name, r[3]): r[1] for name, records in found.items() for r in records}

    def read_again(name: str, offset: int, key: bytes | None) -> bool:
        if name == topics.STATE and key is not None and key.startswith(b"chunk/"):
            return newest[name, key] == offset
        return name != topics.SHOWERS or offset < KEPT_SHOWERS

    rows = [
        (name, p, when, key, value if read_again(name, offset, key) else None)
        for name, records in found.items()
        for p, offset, when, key, value in records
    ]
    names = ("topic", "partition", "timestamp_ms", "key", "value")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    feather.write_feather(pa.table(columns), path, compression="zstd", compression_level=19)
    return {name: len(records) for name, records in found.items()}


def kept(version: str) -> list[dict[str, Any]]:
    """Return the records that a release wrote, each as columns by name, in the order of offsets."""
    rows: list[dict[str, Any]] = feather.read_table(RELEASES / version / "topics.arrow").to_pylist()
    return rows


def restore(bootstrap: str, version: str) -> None:
    """Put the topics of a release on a broker that has none, every record at its place.

    Their times are moved up to now, or the broker would take them for outlived. Topics that there
    are no more are left out: nobody reads them, and not every broker makes them by itself.
    """
    ensure_topics(Connection(bootstrap), partitions=PARTITIONS)
    producer = KafkaProducer(bootstrap_servers=bootstrap, max_request_size=4 << 20)
    rows = [row for row in kept(version) if row["topic"] in _topics()]
    later = round(time.time() * 1000) - max(row["timestamp_ms"] for row in rows)
    for row in rows:
        producer.send(
            row["topic"],
            row["value"],
            key=row["key"],
            partition=row["partition"],
            timestamp_ms=row["timestamp_ms"] + later,
        )
    producer.flush(60)
    producer.close()


def main(tree: Path, version: str) -> None:
    """Let a release work, and keep what it writes.

    Its folder has a detector, an artefact, and for this once a second one to be announced.
    """
    folder = RELEASES / version
    with EmbeddedBroker() as broker, tempfile.TemporaryDirectory() as logs:
        services = Services(broker.bootstrap, Path(logs), broker=broker, tree=tree)
        services.environment |= placed(folder)
        try:
            said = _work(services, folder)
            counts = keep(broker.bootstrap, folder / "topics.arrow")
        finally:
            services.end()
    told = {"version": version, "showers": said["showers"], "records": counts}
    (folder / "told.json").write_text(json.dumps(told, indent=1) + "\n")


def _work(services: Services, folder: Path) -> dict[str, int]:
    """Two models, an alarm in hand, new conditions, and a judge that leaves in good order."""
    services.start("old", "run")
    services.wait_for("old", "in office", 180)
    _say(services, "model", "announce", str(folder / "second"), "--who", "Ada")
    services.wait_for("old", "shadow", 120)
    sent = services.simulate(
        "--rate", "60", "--seconds", "50", "--fault", FAULT, "--partitions", str(PARTITIONS)
    )
    wait_until(lambda: sent.poll() is not None, 300, "the showers to be sent")
    last = json.loads(services.log("simulate").splitlines()[-1])
    services.wait_for("old", "alarm", 60)
    _say(services, "reference", "conditions", "HV 1300 V", "--run", "2", "--who", "Ada")
    wait_until(lambda: _showers(services) >= last["showers"], 120, "all to be judged")
    assert services.stop("old") == 0
    return last


def _showers(services: Services) -> int:

    return newest_manifest(services.bootstrap).totals.get("showers", 0)


def _say(services: Services, *words: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "consumers", *words, "--bootstrap", services.bootstrap],
        cwd=services.tree,
        env=os.environ | {"PYTHONPATH": str(services.tree)} | services.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])
