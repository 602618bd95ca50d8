"""Three brokers behind doors, with clocks and disks of the tests; a job or a broker in the way."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from apache import Cluster
from devices import Disk, Page, built
from doors import Door

BROKERS = 3
WRITES_THROUGH = 2
"""The broker whose disk lies in memory: it flushes whatever it takes, as its fsync costs nothing."""


class Shaken(Cluster):
    """A cluster that can be cut off, filled, slowed down and put into another hour."""

    def __init__(self) -> None:
        super().__init__(BROKERS, {"min.insync.replicas": "2"}, patience_s=300.0)
        self._after = ExitStack()
        folder = Path(self._after.enter_context(TemporaryDirectory()))
        self.doors = [Door() for _ in range(BROKERS)]
        self.disk = Disk(self._folder / f"log{WRITES_THROUGH}")
        shim = built(folder)
        self.pages = [] if shim is None else [Page(folder / f"{i}", shim) for i in range(BROKERS)]

    @property
    def bootstrap(self) -> str:
        return ",".join(f"localhost:{door.port}" for door in self.doors)

    def __enter__(self) -> Self:
        for door, port in zip(self.doors, self.ports, strict=True):
            door.open_to(port)
            self._after.callback(door.end)
        self._after.enter_context(self.disk)
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._after.close()

    def missing(self) -> dict[str, str]:
        """Return which acts are not possible on this machine, and why."""
        why = {}
        if not self.disk.small:
            why["fill"] = "may not mount"
        if not self.pages:
            why |= dict.fromkeys(("jump", "slow"), "no C compiler")
        return why

    def logs(self) -> list[Path]:
        """Return the files that the brokers write what they do to."""
        return sorted(self._folder.glob("*.out"))

    def fell(self, i: int) -> bool:
        """Return whether a broker ended by itself."""
        child = self._children[i]
        return child is not None and child.poll() is not None

    def environment(self, i: int) -> dict[str, str]:
        return super().environment(i) | (self.pages[i].environment if self.pages else {})

    def properties(self, i: int) -> dict[str, object]:
        given = super().properties(i)
        told = str(given["advertised.listeners"])
        given["advertised.listeners"] = told.replace(
            f"localhost:{self.ports[i]}", f"localhost:{self.doors[i].port}"
        )
        if i == WRITES_THROUGH and self.disk.small:
            given["log.flush.interval.messages"] = 1
        return given
