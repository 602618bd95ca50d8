"""Chaos on three Apache brokers: `make chaos MINUTES=5 SEED=1`; figures to deploy/figures/chaos.json.

While good data come, brokers, workers and judges are killed, stopped and paused at random moments;
brokers are cut off from clients, their clocks jump, their disks fill up and take their time. Then
it is quiet, and then there is a fault. What must hold is told as figures, and the exit code says
whether it does. A seed that fails is worth a test.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[:0] = [str(Path(__file__).parents[1] / "support"), str(Path(__file__).parents[2])]

from acts import JOBS, Chaos
from apache import home
from counts import on_topic, summed_up, twice
from feed import PARTITIONS, Feed
from feeding import said
from services import Services, newest_manifest, recount
from shaken import BROKERS, Shaken
from waiting import wait_until

from consumers.app import environment, wiring
from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection
from monitor.quality.alarms import Alarm, State
from monitor.quality.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

FIGURES = Path(__file__).parents[2] / "deploy" / "figures" / "chaos.json"
QUIET_S = 25
FAULTY = "B2"


def in_office(services: Services) -> bool:
    """Return whether one of the judges, whichever came first, has taken office."""
    judges = [name for name, job in JOBS.items() if job == "judge"]
    return any("in office" in services.log(name) for name in judges)


def judged(bootstrap: str, n: int) -> None:
    """Wait until so many showers are in the judge's snapshot."""
    wait_until(lambda: newest_manifest(bootstrap).totals.get("showers", 0) >= n, 180, "all")


def run(args: argparse.Namespace, cluster: Shaken, services: Services) -> Iterator[tuple[str, Any]]:
    """Do what is to be done, and yield what was seen, by name."""
    bootstrap = cluster.bootstrap
    ensure_topics(Connection(bootstrap), partitions=PARTITIONS, replication=BROKERS)
    chaos = Chaos(cluster, services, args.seed, kills=args.kills > 0)
    wait_until(lambda: in_office(services), 120, "a judge in office")
    for name in ("score-1", "score-2"):
        services.wait_for(name, "partitions: [", 120)
    feed = Feed(bootstrap, args.rate, args.seed)
    feed.start()
    try:
        yield from _chaos(args, chaos, feed)
    finally:
        told = [f"{time.strftime('%T', time.gmtime(at))} {what}\n" for at, what in chaos.done]
        (services.folder / "acts.log").write_text("".join(told), encoding="utf-8")
    heard = said(bootstrap)
    yield from _good_data(heard)
    yield "fault alarmed after, s", _fault(args, bootstrap, len(heard))
    yield from _counts(bootstrap)
    yield "ended by themselves", chaos.ended


def _chaos(args: argparse.Namespace, chaos: Chaos, feed: Feed) -> Iterator[tuple[str, Any]]:
    time.sleep(10)
    end = time.monotonic() + 60 * args.minutes
    while time.monotonic() < end and (not args.kills or chaos.acts.total() < args.kills):
        chaos.act()
        chaos.pause()
    yield "acts", dict(sorted(chaos.acts.items()))
    if why := chaos.cluster.missing():
        yield "not possible here", why
    if chaos.fell:
        yield "brokers that fell by themselves after", dict(sorted(chaos.fell.items()))
    time.sleep(QUIET_S)
    yield "sent", feed.end()
    if feed.given_up:
        yield "given up by the producer", feed.given_up[:5]
    there = on_topic(chaos.cluster.bootstrap)
    yield "on the topic", there.showers
    yield "of them written twice by the producer", there.again
    judged(chaos.cluster.bootstrap, there.showers)


def _good_data(heard: list[Any]) -> Iterator[tuple[str, Any]]:
    raised = [record for record in heard if isinstance(record, Alarm)]
    yield "alarms on good data", sorted({f"{alarm.place}: {alarm.text}" for alarm in raised})
    verdicts = [record for record in heard if isinstance(record, Verdict)]
    yield "verdicts", dict(Counter(verdict.quality.value for verdict in verdicts))


def _fault(args: argparse.Namespace, bootstrap: str, heard: int) -> float:
    fault = Feed(bootstrap, args.rate, args.seed + 1, f"gain:region={FAULTY},x=0.3")
    fault.start()
    began = time.monotonic()
    try:
        wait_until(lambda: any(map(_raised, said(bootstrap)[heard:])), 90, "the fault's alarm")
        return round(time.monotonic() - began, 1)
    finally:
        fault.end()


def _raised(record: Any) -> bool:
    return (
        isinstance(record, Alarm)
        and record.state is State.RAISED
        and record.place.startswith(FAULTY)
    )


def _counts(bootstrap: str) -> Iterator[tuple[str, Any]]:
    form = wiring.form_of(wiring.description_of(environment.load({}, {})))
    there = on_topic(bootstrap).showers
    judged(bootstrap, there)
    count = recount(bootstrap, form)
    yield "on the topic at the end", there
    yield "in windows", count.tallied
    yield "in the snapshot", newest_manifest(bootstrap).totals["showers"]
    wait_until(lambda: summed_up(bootstrap, form) >= there, 150, "lumisections to be kept")
    yield "in lumisections", summed_up(bootstrap, form)
    yield "ranges twice", count.overlaps
    yield "said twice", twice(said(bootstrap))


def holds(seen: dict[str, Any]) -> bool:
    """Return whether what was seen is as it must be."""
    counts = {seen[f"in {what}"] for what in ("windows", "the snapshot", "lumisections")}
    nothing = ("alarms on good data", "ranges twice", "said twice", "ended by themselves")
    return (
        counts == {seen["on the topic at the end"]}
        and not any(seen[name] for name in nothing)
        and not seen["verdicts"].get("bad")
        and seen["sent"] == seen["on the topic"] - seen["of them written twice by the producer"]
    )


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return what was seen; where it does not hold, the services' logs are kept."""
    seen: dict[str, Any] = {"seed": args.seed, "minutes": args.minutes, "rate": args.rate}
    if args.kills:
        seen["kills asked for"] = args.kills
    with tempfile.TemporaryDirectory() as folder, Shaken() as cluster:
        services = Services(cluster.bootstrap, Path(folder))
        try:
            for name, value in run(args, cluster, services):
                seen[name] = value
                print(f"{name}: {value}", flush=True)
            seen["holds"] = holds(seen)
        except AssertionError as error:  # a wait that was in vain
            seen |= {"holds": False, "failed": str(error)[:300]}
            print(f"failed: {seen['failed']}", flush=True)
        finally:
            services.end()
        if args.logs is not None and not seen["holds"]:
            shutil.copytree(folder, args.logs, dirs_exist_ok=True)
            for log in cluster.logs():
                shutil.copy(log, args.logs)
    return seen


def main() -> int:
    """Run, tell and keep the figures; 1 if something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of chaos, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=0, help="so many kills, and nothing else")
    parser.add_argument("--rate", type=float, default=200.0, help="showers a second")
    parser.add_argument("--json", type=Path, default=FIGURES, help="where the figures go")
    parser.add_argument("--logs", type=Path, help="folder for the logs where it does not hold")
    args = parser.parse_args()
    if home() is None:
        print("chaos: needs Apache Kafka: set KAFKA_HOME, or `make kafka`")
        return 0
    seen = measure(args)
    known = json.loads(args.json.read_text()) if args.json.is_file() else []
    mine = (args.seed, bool(args.kills))
    others = [one for one in known if (one["seed"], bool(one.get("kills asked for"))) != mine]
    args.json.write_text(json.dumps([*others, seen], indent=1) + "\n")
    print("holds" if seen["holds"] else "does NOT hold")
    return 0 if seen["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
