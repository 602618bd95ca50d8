"""Real processes of the service, to be killed; and an own count of what the topics say."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import TYPE_CHECKING

from waiting import wait_until

from consumers.app.embedded import EmbeddedBroker
from consumers.exactly_once.fence import Fence
from consumers.exactly_once.snapshots import Snapshots
from consumers.kafka.connection import Connection
from consumers.kafka.log import KafkaLog
from consumers.wire import ranges, topics, window_form
from consumers.wire.block import DecodeError
from consumers.wire.ranges import Open, Range
from models.showers import shipped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.exactly_once.snapshots import Manifest

ROOT = Path(__file__).parents[2]
POOL = shipped.DEMO


@dataclass
class Services:
    """Starts `calodqm` commands against one broker and ends all of them at the end."""

    bootstrap: str
    folder: Path
    children: dict[str, Popen[bytes]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    broker: EmbeddedBroker | None = None
    tree: Path = ROOT
    """The code that is run, unless `start` names another."""

    def start(
        self, name: str, *arguments: str, version: str | None = None, tree: Path | None = None
    ) -> Popen[bytes]:
        """Start a command, also of another tree, or as if this one were of another version."""
        tree = tree or self.tree
        environment = {
            **os.environ,
            "PYTHONPATH": str(tree),
            "OMP_NUM_THREADS": "1",
            "CALODQM_BOOTSTRAP": self.bootstrap,
            "CALODQM_HTTP_PORT": "0",
            "CALODQM_SESSION_S": "3",
            "CALODQM_SNAPSHOT_S": "2",
            "CALODQM_NAME": name,
            # A compiler would take a core for half a minute; what was released before knows of none.
            **({"CALODQM_COMPILE": "false"} if tree == ROOT and version is None else {}),
            **self.environment,
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            child = Popen(
                [sys.executable, *_program(version), "-v", *arguments],
                cwd=tree,
                env=environment,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.children[name] = child
        return child

    def simulate(self, *arguments: str, source: Path = POOL) -> Popen[bytes]:
        return self.start("simulate", "simulate", "--source", str(source), "--json", *arguments)

    def kill(self, name: str) -> None:
        child = self.children.pop(name)
        child.send_signal(signal.SIGKILL)
        child.wait()

    def stop(self, name: str) -> int:
        child = self.children.pop(name)
        child.terminate()
        return child.wait(60)

    def pause_broker(self, seconds: float) -> None:
        """Let the broker hang: nothing is lost, everybody has to wait."""
        assert self.broker is not None
        os.kill(self.broker.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(self.broker.pid, signal.SIGCONT)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def wait_for(self, name: str, text: str, seconds: float = 60) -> None:
        wait_until(lambda: text in self.log(name), seconds, f"{name} to say {text!r}")

    def end(self) -> None:
        for name in list(self.children):
            self.kill(name)


@contextmanager
def on_a_broker(folder: Path, home: str | None = None) -> Iterator[Services]:
    """Start a broker for services, and end both at the end; `home` is that of `EmbeddedBroker`."""
    with EmbeddedBroker(home=home) as broker:
        started = Services(broker.bootstrap, folder, broker=broker)
        try:
            yield started
        finally:
            started.end()


def _program(version: str | None) -> list[str]:
    if version is None:
        return ["-m", "consumers"]
    code = (
        f"import sys, consumers; consumers.VERSION = {version!r}; "
        "from consumers.cli import command; sys.exit(command.main())"
    )
    return ["-c", code]


@dataclass
class Count:
    """What the windows topic comes to, read from its beginning by nobody's code but this."""

    showers: int = 0
    tallied: int = 0
    """Showers in the windows themselves."""

    refused: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    opens: int = 0
    overlaps: int = 0
    """Accepted ranges that cover an offset twice."""


def recount(bootstrap: str, form: window_form.WindowForm) -> Count:
    """Count what the accepted ranges hold."""
    log = KafkaLog(Connection(bootstrap))
    fence, count = Fence(), Count()
    covered: dict[int, int] = {}
    try:
        for record in log.read_all(topics.WINDOWS):
            try:
                entry = ranges.header(record.value)
            except DecodeError:
                fence.unreadable()
                continue
            if isinstance(entry, Open):
                count.opens += 1
                fence.open(record.offset, entry)
            elif isinstance(entry, Range):
                reason = fence.accept(entry)
                if reason:
                    count.refused[reason] += 1
                    continue
                count.overlaps += entry.begin < covered.get(entry.partition, 0)
                covered[entry.partition] = entry.end
                count.showers += entry.showers
                count.rejects.update(entry.rejects)
                count.missing += entry.missing
                value = ranges.parts(record.value or b"", entry)[entry.model]
                count.tallied += sum(w.n for w in window_form.windows(value, form))
    finally:
        log.close()
    return count


def newest_manifest(bootstrap: str) -> Manifest:
    """Return the judge's newest snapshot."""
    log = KafkaLog(Connection(bootstrap))
    try:
        return Snapshots(log).newest()
    finally:
        log.close()
