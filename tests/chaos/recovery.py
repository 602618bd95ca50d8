"""How long nothing is judged while brokers come and go: `make recovery`; figures to deploy/figures.

On three Apache brokers a worker and a judge, and beside them plain consumers of two libraries on the
same topic: brokers are restarted one after another, the leader of a partition is killed, one is
killed and comes back. What is told is the longest time without a record, of the partition that
waited longest: what a plain client needs is the cluster's and the library's, the rest is ours.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[:0] = [str(Path(__file__).parents[1] / "support"), str(Path(__file__).parent)]
sys.path[:0] = [str(Path(__file__).parents[2])]

import requests
from apache import Cluster, home
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Place
from feed import PARTITIONS, Feed
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from services import Services

from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection
from consumers.kafka.log import KafkaLog
from consumers.wire import ranges, topics
from consumers.wire.ranges import Range

if TYPE_CHECKING:
    from collections.abc import Iterator

FIGURES = Path(__file__).parents[2] / "deploy" / "figures" / "recovery.json"
SETTLED_S = 8.0
"""After a broker is back, before the next one goes."""

AWAY_S = 14.0
"""How long a killed leader stays away."""

SEEN = ("librdkafka", "kafka-python", "said", "judged")


class Watch:
    """When each of those who read had something of each partition."""

    def __init__(self, bootstrap: str, page: str) -> None:
        self.at: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.over = threading.Event()
        self._bootstrap, self._page = bootstrap, page
        work = (self._librdkafka, self._kafka_python, self._judged)
        self._threads = [threading.Thread(target=each, daemon=True) for each in work]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()
        log = KafkaLog(Connection(self._bootstrap))
        try:
            for record in log.read_all(topics.WINDOWS):
                entry = ranges.header(record.value)
                if isinstance(entry, Range) and entry.records:
                    self.at["said"][entry.partition].append(record.timestamp_ms / 1000)
        finally:
            log.close()

    def longest(self, who: str, begin: float, end: float) -> float:
        """Return the longest time without anything, s, of the partition that had the longest."""
        return round(max(_longest(times, begin, end) for times in self.at[who].values()), 1)

    def _librdkafka(self) -> None:
        client = Consumer(
            {"bootstrap.servers": self._bootstrap, "group.id": "plain", "log_level": 0,
             "enable.auto.commit": False, "auto.offset.reset": "latest"}
        )  # fmt: skip
        client.assign([Place(topics.SHOWERS, p, -1) for p in range(PARTITIONS)])
        while not self.over.is_set():
            found = client.poll(0.1)
            if found is not None and not found.error():
                self.at["librdkafka"][found.partition()].append(time.time())
        client.close()

    def _kafka_python(self) -> None:
        client = KafkaConsumer(bootstrap_servers=self._bootstrap, enable_auto_commit=False)
        client.assign([TopicPartition(topics.SHOWERS, p) for p in range(PARTITIONS)])
        client.seek_to_end()
        while not self.over.is_set():
            for place in client.poll(timeout_ms=100):
                self.at["kafka-python"][place.partition].append(time.time())
        client.close()

    def _judged(self) -> None:
        before = None
        while not self.over.is_set():
            with suppress(requests.RequestException):
                text = requests.get(f"{self._page}/metrics", timeout=2).text
                found = re.search(r"^calodqm_showers_judged_total (\S+)", text, re.MULTILINE)
                if found and found[1] != before:
                    before = found[1]
                    self.at["judged"][0].append(time.time())
            time.sleep(0.1)


def _longest(times: list[float], begin: float, end: float) -> float:
    within = [begin, *(t for t in times if begin <= t <= end), end]
    return max(later - earlier for earlier, later in pairwise(within))


def leader(cluster: Cluster) -> int:
    """Return which broker leads the first partition of showers."""
    admin = KafkaAdminClient(bootstrap_servers=cluster.inside.split(","))
    try:
        (topic,) = admin.describe_topics([topics.SHOWERS])
    finally:
        admin.close()
    (first,) = [p for p in topic["partitions"] if p["partition_index"] == 0]
    return int(first["leader_id"]) - 1


def acts(cluster: Cluster) -> Iterator[tuple[str, float, float]]:
    """Do what is to be done, and yield what it was, when it began and when it was over."""
    began = time.time()
    time.sleep(SETTLED_S)
    yield "nothing", began, time.time()
    for i in range(len(cluster.ports)):
        began = time.time()
        cluster.stop(i)
        cluster.start(i)
        time.sleep(SETTLED_S)
        yield "rolling restart", began, time.time()
    killed, began = leader(cluster), time.time()
    cluster.kill(killed)
    time.sleep(AWAY_S)
    yield "killed leader", began, time.time()
    cluster.start(killed)
    time.sleep(SETTLED_S)
    again, began = leader(cluster), time.time()
    cluster.kill(again)
    cluster.start(again)
    time.sleep(AWAY_S)
    yield "killed, and comes back", began, time.time()


def measure(rate: float) -> dict[str, Any]:
    """Return the longest waits of everybody by what was done, and what the services said of it."""
    with (
        Cluster(3, {"min.insync.replicas": "2"}) as cluster,
        tempfile.TemporaryDirectory() as folder,
    ):
        ensure_topics(Connection(cluster.bootstrap), partitions=PARTITIONS, replication=3)
        services = Services(cluster.bootstrap, Path(folder))
        services.environment = {"CALODQM_SESSION_S": "10", "CALODQM_SNAPSHOT_S": "60"}
        try:
            for name in ("judge", "score"):
                services.start(name, name)
            services.wait_for("judge", "in office", 120)
            services.wait_for("score", "partitions: [", 120)
            found = re.search(r"on (http://\S+)", services.log("judge"))
            assert found is not None
            feed = Feed(cluster.bootstrap, rate, 1)
            feed.start()
            time.sleep(SETTLED_S)
            watch = Watch(cluster.bootstrap, found[1])
            time.sleep(2)
            done = list(acts(cluster))
            feed.end()
            watch.end()
            warned = {name: _warnings(services.log(name)) for name in ("judge", "score")}
        finally:
            services.end()
    longest: dict[str, dict[str, float]] = {}
    for what, begin, end in done:
        row = longest.setdefault(what, dict.fromkeys(watch.at, 0.0))
        for who in row:
            row[who] = max(row[who], watch.longest(who, begin, end))
    return {"longest without a record, s": longest, "warnings": warned}


def _warnings(log: str) -> list[str]:
    return [line[:200] for line in log.splitlines() if "WARNING" in line or "ERROR" in line][:60]


def main() -> int:
    """Measure, tell and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=200.0, help="showers a second")
    parser.add_argument("--json", type=Path, default=FIGURES, help="where the figures go")
    args = parser.parse_args()
    if home() is None:
        print("recovery: needs Apache Kafka: set KAFKA_HOME, or `make kafka`")
        return 0
    seen = measure(args.rate)
    for what, row in seen["longest without a record, s"].items():
        print(f"{what:24}", *(f"{who} {row[who]:5.1f}" for who in SEEN if who in row), flush=True)
    for name, lines in seen.pop("warnings").items():
        print(name, *lines, sep="\n  ")
    args.json.write_text(json.dumps({"rate": args.rate, **seen}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
