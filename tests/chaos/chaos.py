"""Chaos on three Apache brokers: `make chaos MINUTES=5 SEED=1`; figures to deploy/figures/chaos.json.

Brokers, workers and judges are killed, stopped and paused at random moments while good data come;
then it is quiet, and then there is a fault. What must hold is told as figures, and the exit code
says whether it does. A seed that fails is worth a test.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[:0] = [str(Path(__file__).parents[1] / "support"), str(Path(__file__).parents[2])]

from apache import Cluster, home
from confluent_kafka import Producer
from feeding import said
from services import POOL, Services, newest_manifest, recount
from waiting import wait_until

from consumers.app import environment, wiring
from consumers.app.detector_files import detector_of, geometry_of
from consumers.cli.stream import Beam, Stream
from consumers.exactly_once.quality_log import identity
from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection
from consumers.kafka.log import KafkaLog
from consumers.wire import lumisection_form, topics
from consumers.wire.codec import decode
from models.showers import readers
from models.showers.pool import clean
from models.showers.symmetries import Symmetry
from models.simulation import fault_form
from monitor.quality.alarms import Alarm, State
from monitor.quality.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTITIONS = 4
JOBS = {"judge-1": "judge", "judge-2": "judge", "score-1": "score", "score-2": "score"}
FIGURES = Path(__file__).parents[2] / "deploy" / "figures" / "chaos.json"
QUIET_S = 25


class Feed(threading.Thread):
    """Sends a stream as it is due, by another client that gives nothing up."""

    def __init__(self, bootstrap: str, rate: float, seed: int, *fault: str) -> None:
        super().__init__(daemon=True)
        given = environment.load({"bootstrap": bootstrap}, {})
        detector, geometry = detector_of(given), geometry_of(given)
        regions = {region.name: region.id for region in detector.regions}
        self.stream = Stream(
            Beam(
                pool=clean(readers.read(POOL, geometry)), geometry=geometry, detector=detector,
                rate_hz=rate, images=Symmetry(("x", "y")).images(geometry), partitions=PARTITIONS, seed=seed,
                faults=tuple(fault_form.parse(text, regions) for text in fault),
                start_ns=time.time_ns(), producer=f"chaos-{seed}",
            )
        )  # fmt: skip
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap, "enable.idempotence": True,
                "delivery.timeout.ms": 2**31 - 1, "log_level": 0,
            }
        )  # fmt: skip
        self.sent, self.over = 0, threading.Event()

    def run(self) -> None:
        began = time.monotonic()
        for piece in self.stream:
            while not self.over.is_set() and piece.due_s > time.monotonic() - began:
                self.producer.poll(0.05)
            if self.over.is_set():
                break
            self.producer.produce(
                topics.SHOWERS, piece.value, key=piece.key, partition=piece.partition
            )
            self.sent += piece.showers
        self.producer.flush()

    def end(self) -> int:
        self.over.set()
        self.join()
        return self.sent


class Chaos:
    """What is done to a cluster and a service, by a seed."""

    def __init__(self, cluster: Cluster, services: Services, seed: int, *, kills: bool) -> None:
        self.cluster, self.services = cluster, services
        self.random = random.Random(seed)  # noqa: S311 - not a secret
        self.kills = kills
        self.acts: Counter[str] = Counter()
        self.ended: list[str] = []
        for name in JOBS:
            self.start(name)

    def start(self, name: str) -> None:
        self.services.start(name, JOBS[name])

    def act(self) -> None:
        """Do one thing, and mend it."""
        what = "kill" if self.kills else self.random.choice(("kill", "stop", "pause"))
        kind = self.random.choice(("broker", "judge", "score"))
        self.acts[f"{what} {kind}"] += 1
        if kind == "broker":
            self._broker(what, self.random.randrange(3))
        else:
            self._job(what, self.random.choice([name for name in JOBS if JOBS[name] == kind]))
        for name, child in list(self.services.children.items()):
            if child.poll() is not None:
                self.ended.append(f"{name}: {self.services.log(name).splitlines()[-1][:200]}")
                self.start(name)

    def _broker(self, what: str, i: int) -> None:
        if what == "pause":
            self._pause(self.cluster.pid(i))
            return
        (self.cluster.kill if what == "kill" else self.cluster.stop)(i)
        time.sleep(self.random.uniform(0, 2 if self.kills else 6))
        self.cluster.start(i)

    def _job(self, what: str, name: str) -> None:
        if what == "pause":
            self._pause(self.services.children[name].pid)
            return
        if what == "kill":
            self.services.kill(name)
        else:
            self.services.stop(name)
        time.sleep(self.random.uniform(0, 1 if self.kills else 4))
        self.start(name)

    def _pause(self, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self.random.uniform(1, 8))
        os.kill(pid, signal.SIGCONT)


def in_office(services: Services) -> bool:
    """Return whether one of the judges, whichever came first, has taken office."""
    judges = [name for name, job in JOBS.items() if job == "judge"]
    return any("in office" in services.log(name) for name in judges)


def on_topic(bootstrap: str) -> int:
    """Return how many showers lie on the topic."""
    given, log, n = (
        environment.load({"bootstrap": bootstrap}, {}),
        KafkaLog(Connection(bootstrap)),
        0,
    )
    try:
        for partition in range(PARTITIONS):
            _, end = log.bounds(topics.SHOWERS, partition)
            for record in log.read(topics.SHOWERS, 0, end, partition=partition):
                n += decode(record.value, geometry_of(given)).showers.n
    finally:
        log.close()
    return n


def summed_up(bootstrap: str, form: Any) -> int:
    """Return how many showers the lumisections hold that are kept."""
    log, parts = KafkaLog(Connection(bootstrap)), {}
    try:
        for record in log.read_all(topics.LUMISECTIONS):
            parts[record.key] = lumisection_form.window(record.value or b"", form).n
    finally:
        log.close()
    return sum(parts.values())


def twice(records: list[Any]) -> int:
    """Return how many records say again what another has said."""
    return len(records) - len({identity(record) for record in records})


def figures(args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """Yield what was seen, by name."""
    form = wiring.form_of(wiring.description_of(environment.load({}, {})))
    with (
        Cluster(3, {"min.insync.replicas": "2"}) as cluster,
        tempfile.TemporaryDirectory() as folder,
    ):
        bootstrap = cluster.bootstrap
        ensure_topics(Connection(bootstrap), partitions=PARTITIONS, replication=3)
        services = Services(bootstrap, Path(folder))
        try:
            chaos = Chaos(cluster, services, args.seed, kills=args.kills > 0)
            wait_until(lambda: in_office(services), 120, "a judge in office")
            for name in ("score-1", "score-2"):
                services.wait_for(name, "partitions: [", 120)
            feed = Feed(bootstrap, args.rate, args.seed)
            feed.start()
            time.sleep(10)
            end = time.monotonic() + 60 * args.minutes
            while time.monotonic() < end and (
                not args.kills or sum(chaos.acts.values()) < args.kills
            ):
                chaos.act()
                time.sleep(chaos.random.uniform(*((0, 2) if args.kills else (2, 8))))
            yield "acts", dict(sorted(chaos.acts.items()))
            time.sleep(QUIET_S)
            yield "sent", feed.end()
            there = on_topic(bootstrap)
            yield "on the topic", there
            wait_until(
                lambda: newest_manifest(bootstrap).totals.get("showers", 0) >= there, 180, "all"
            )
            heard = said(bootstrap)
            raised = [r for r in heard if isinstance(r, Alarm)]
            yield "alarms on good data", sorted({f"{r.place}: {r.text}" for r in raised})
            verdicts = [r for r in heard if isinstance(r, Verdict)]
            yield "verdicts", dict(Counter(v.quality.value for v in verdicts))
            fault = Feed(bootstrap, args.rate, args.seed + 1, "gain:region=B2,x=0.3")
            fault.start()
            began = time.monotonic()
            wait_until(
                lambda: any(
                    isinstance(r, Alarm) and r.state is State.RAISED and r.place.startswith("B2")
                    for r in said(bootstrap)[len(heard) :]
                ),
                90,
                "the fault to be alarmed",
            )
            yield "fault alarmed after, s", round(time.monotonic() - began, 1)
            fault.end()
            there = on_topic(bootstrap)
            wait_until(
                lambda: newest_manifest(bootstrap).totals.get("showers", 0) >= there, 180, "all"
            )
            count = recount(bootstrap, form)
            yield "on the topic at the end", there
            yield "in windows", count.tallied
            yield "in the snapshot", newest_manifest(bootstrap).totals["showers"]
            wait_until(lambda: summed_up(bootstrap, form) >= there, 150, "lumisections to be kept")
            yield "in lumisections", summed_up(bootstrap, form)
            yield "ranges twice", count.overlaps
            yield "said twice", twice(said(bootstrap))
            yield "ended by themselves", chaos.ended
        finally:
            services.end()


def holds(seen: dict[str, Any]) -> bool:
    """Return whether what was seen is as it must be."""
    counts = {seen[f"in {what}"] for what in ("windows", "the snapshot", "lumisections")}
    nothing = ("alarms on good data", "ranges twice", "said twice", "ended by themselves")
    return (
        counts == {seen["on the topic at the end"]}
        and not any(seen[name] for name in nothing)
        and not seen["verdicts"].get("bad")
        and seen["sent"] == seen["on the topic"]
    )


def main() -> int:
    """Run, tell and keep the figures; 1 if something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of chaos, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=0, help="so many kills, and nothing else")
    parser.add_argument("--rate", type=float, default=200.0, help="showers a second")
    parser.add_argument("--json", type=Path, default=FIGURES, help="where the figures go")
    args = parser.parse_args()
    if home() is None:
        print("chaos: needs Apache Kafka: set KAFKA_HOME, or `make kafka`")
        return 0
    seen: dict[str, Any] = {"seed": args.seed, "minutes": args.minutes, "rate": args.rate}
    try:
        for name, value in figures(args):
            seen[name] = value
            print(f"{name}: {value}", flush=True)
        seen["holds"] = holds(seen)
    except AssertionError as error:  # a wait that was in vain
        seen |= {"holds": False, "failed": str(error)[:300]}
        print(f"failed: {seen['failed']}", flush=True)
    known = json.loads(args.json.read_text()) if args.json.is_file() else []
    known = [
        one
        for one in known
        if (one["seed"], bool(one.get("kills"))) != (args.seed, bool(args.kills))
    ]
    if args.kills:
        seen["kills"] = args.kills
    args.json.write_text(json.dumps([*known, seen], indent=1) + "\n")
    print("holds" if seen["holds"] else "does NOT hold")
    return 0 if seen["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
