"""What is done to a cluster and to a service, by a seed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

from shaken import BROKERS, WRITES_THROUGH
from waiting import wait_until

if TYPE_CHECKING:
    from services import Services
    from shaken import Shaken

JOBS = {"judge-1": "judge", "judge-2": "judge", "score-1": "score", "score-2": "score"}
LONGEST_S = 8.0
"""Of what is mended again."""

FALLS_S = 5.0
"""How long a broker is given to end by itself on a full disk."""


class Chaos:
    """One act after the other, each mended before the next."""

    def __init__(self, cluster: Shaken, services: Services, seed: int, *, kills: bool) -> None:
        self.cluster, self.services = cluster, services
        self.random = random.Random(seed)  # noqa: S311 - not a secret
        self.kills = kills
        self.acts: Counter[str] = Counter()
        self.done: list[tuple[float, str]] = []
        """When each act began, s since 1970, and what it was."""

        self.ended: list[str] = []
        self.fell: Counter[str] = Counter()
        """Brokers that ended by themselves, by the act before."""

        self._done_to_brokers = {
            "cut": self._cut, "fill": self._fill, "jump": self._jump, "slow": self._slow
        }  # fmt: skip
        for name in JOBS:
            self.start(name)

    def start(self, name: str) -> None:
        self.services.start(name, JOBS[name])

    def act(self) -> None:
        """Do one thing, and mend it."""
        every = ("kill", "stop", "pause", *self._done_to_brokers)
        possible = [what for what in every if what not in self.cluster.missing()]
        what = "kill" if self.kills else self.random.choice(possible)
        kind = self.random.choice(("broker", "judge", "score"))
        if what in self._done_to_brokers:
            kind = "broker"
        self.acts[f"{what} {kind}"] += 1
        if kind == "broker":
            self._broker(what, self.random.randrange(BROKERS))
        else:
            self._job(what, self.random.choice([name for name in JOBS if JOBS[name] == kind]))
        self._revive(f"{what} {kind}")

    def pause(self) -> None:
        """Wait until the next act."""
        time.sleep(self.random.uniform(*((0, 2) if self.kills else (2, 8))))

    def _revive(self, after: str) -> None:
        for name, child in list(self.services.children.items()):
            if child.poll() is not None:
                self.ended.append(f"{name}: {self.services.log(name).splitlines()[-1][:200]}")
                self.start(name)
        for i in range(BROKERS):
            if self.cluster.fell(i):
                self.fell[after] += 1
                self.cluster.start(i)

    def _did(self, what: str) -> None:
        self.done.append((time.time(), what))

    def _broker(self, what: str, i: int) -> None:
        if what in self._done_to_brokers:
            self._done_to_brokers[what](i)
        elif what == "pause":
            self._pause(f"broker {i}", self.cluster.pid(i))
        else:
            away = self.random.uniform(0, 2 if self.kills else 6)
            self._did(f"{what} broker {i}, away for {away:.1f} s")
            (self.cluster.kill if what == "kill" else self.cluster.stop)(i)
            time.sleep(away)
            self.cluster.start(i)

    def _job(self, what: str, name: str) -> None:
        if what == "pause":
            self._pause(name, self.services.children[name].pid)
            return
        away = self.random.uniform(0, 1 if self.kills else 4)
        self._did(f"{what} {name}, away for {away:.1f} s")
        (self.services.kill if what == "kill" else self.services.stop)(name)
        time.sleep(away)
        self.start(name)

    def _pause(self, name: str, pid: int) -> None:
        still = self._while(1)
        self._did(f"pause {name} for {still:.1f} s")
        os.kill(pid, signal.SIGSTOP)
        time.sleep(still)
        os.kill(pid, signal.SIGCONT)

    def _cut(self, i: int) -> None:
        still = self._while(1)
        self._did(f"cut broker {i} off from clients for {still:.1f} s")
        self.cluster.doors[i].shut()
        time.sleep(still)
        self.cluster.doors[i].open()

    def _fill(self, _: int) -> None:
        """Fill the one disk that can be filled, and free it as an operator does who then restarts."""
        self._did(f"fill the disk of broker {WRITES_THROUGH}")
        self.cluster.disk.fill()
        try:
            wait_until(lambda: self.cluster.fell(WRITES_THROUGH), FALLS_S)
            self.fell["fill"] += 1
        except AssertionError:  # it bears it, or has nothing to write
            self.cluster.kill(WRITES_THROUGH)
        self.cluster.disk.free()
        self.cluster.start(WRITES_THROUGH)

    def _jump(self, i: int) -> None:
        """Step a clock; once it is right again the broker is begun anew.

        Apache Kafka's timers never go back: after a clock that was ahead for a moment its quorum
        waits for as long as it was ahead.
        """
        ahead, still = self.random.choice((-1, 1)) * self.random.randint(60, 10_800), self._while(1)
        self._did(f"clock of broker {i} ahead by {ahead} s for {still:.1f} s")
        self._told(i, still, ahead_s=ahead)
        self.cluster.kill(i)
        self.cluster.start(i)

    def _slow(self, i: int) -> None:
        slower, still = self.random.randint(100, 1000), self._while(2)
        self._did(f"fsync of broker {i} slower by {slower} ms for {still:.1f} s")
        self._told(i, still, slower_ms=slower)

    def _told(self, i: int, still: float, **what: int) -> None:
        self.cluster.pages[i].tell(**what)
        time.sleep(still)
        self.cluster.pages[i].tell()

    def _while(self, least: float) -> float:
        return self.random.uniform(least, LONGEST_S)
