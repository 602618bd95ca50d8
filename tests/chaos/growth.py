"""How memory grows: `make growth MINUTES=75`; figures to deploy/figures/growth.json.

A judge and a worker on each of the embedded broker and Apache Kafka at once, good data of all
regions. What a process holds is asked for every two seconds; what is told is the median of the
minutes after everything has been met once and of the last ones, and the change between them: with
75 minutes, over the hour after the first quarter of one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

sys.path[:0] = [str(Path(__file__).parents[1] / "support"), str(Path(__file__).parents[2])]

from apache import home
from services import Services, on_a_broker

if TYPE_CHECKING:
    from collections.abc import Iterator

FIGURES = Path(__file__).parents[2] / "deploy" / "figures" / "growth.json"
EVERY_S = 2.0
SETTLED = 0.2
"""The share of the time after which everything has been met once."""

WINDOW = 0.1
"""The share of the time that a median is of."""

FLAT = 0.01
MIB = 2**20


def brokers() -> Iterator[tuple[str, str]]:
    """Yield what is measured: a name, and its home as `EmbeddedBroker` takes it."""
    yield "embedded", ""
    apache = home()
    if apache is not None:
        yield "apache", str(apache)


def started(stack: ExitStack, kafka_home: str, rate: float) -> Services:
    """Start a broker, a judge, a worker and their showers."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    services = stack.enter_context(on_a_broker(folder, kafka_home))
    services.environment = {"CALODQM_SESSION_S": "10", "CALODQM_SNAPSHOT_S": "20"}
    for name in ("judge", "score"):
        services.start(name, name)
    services.wait_for("judge", "in office", 240)
    services.wait_for("score", "partitions: [", 240)
    services.simulate("--rate", str(rate))
    return services


def held(pid: int) -> int:
    """Return the bytes that a process has written to memory, those put out to swap among them.

    Pages of libraries do not count: the kernel takes them away and reads them again as it likes,
    and they are shared as soon as another process has the same library.
    """
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return sum(1024 * int(fields[name].split()[0]) for name in ("RssAnon", "VmSwap"))


def told(bytes_held: list[int]) -> dict[str, Any]:
    """Return what a process held early and late, MiB, and the change between them."""
    n = len(bytes_held)
    early = bytes_held[int(n * SETTLED) : int(n * (SETTLED + WINDOW)) + 1]
    late = bytes_held[-max(int(n * WINDOW), 1) :]
    change = median(late) / median(early) - 1
    return {
        "early, MiB": round(median(early) / MIB, 1),
        "late, MiB": round(median(late) / MIB, 1),
        "change, %": round(100 * change, 2),
        "flat": abs(change) <= FLAT,
        "each minute, MiB": [round(b / MIB, 1) for b in bytes_held[:: int(60 / EVERY_S)]],
    }


def measure(minutes: float, rate: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what each broker's judge and worker held."""
    with ExitStack() as stack:
        running = {name: started(stack, where, rate) for name, where in brokers()}
        seen: dict[str, dict[str, list[int]]] = {n: {"judge": [], "score": []} for n in running}
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            time.sleep(EVERY_S)
            for broker, services in running.items():
                for name, series in seen[broker].items():
                    series.append(held(services.children[name].pid))
        for broker, series in seen.items():
            yield broker, {name: told(each) for name, each in series.items()}


def main() -> int:
    """Measure, tell and keep the figures; 1 if something is not flat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=75.0)
    parser.add_argument("--rate", type=float, default=100.0, help="showers a second")
    parser.add_argument("--json", type=Path, default=FIGURES, help="where the figures go")
    args = parser.parse_args()
    seen: dict[str, Any] = {"minutes": args.minutes, "rate": args.rate, "regions": 16}
    for broker, figures in measure(args.minutes, args.rate):
        seen[broker] = figures
        for name in ("judge", "score"):
            of = figures[name]
            print(
                f"{broker} {name}: {of['early, MiB']} → {of['late, MiB']} MiB, {of['change, %']:+} %"
            )
    args.json.write_text(json.dumps(seen, indent=1) + "\n")
    return 0 if all(seen[b][n]["flat"] for b, _ in brokers() for n in ("judge", "score")) else 1


if __name__ == "__main__":
    sys.exit(main())
