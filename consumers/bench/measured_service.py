"""A measured service: a process of the service, and what it exports."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import requests
from prometheus_client.parser import text_string_to_metric_families

from consumers.app import children
from consumers.app.embedded import free_port
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from consumers.app.settings import Settings

STAGES = ("decode", "score", "tally", "publish")
JUDGED = "calodqm_showers_judged_total"
SOON_S, SELDOM_S = 0.1, 2.0
"""Time between two looks at what is exported, s: at least and at most."""


@dataclass(frozen=True)
class MeasuredService:
    """A process of the service, and what it exports."""

    child: subprocess.Popen[bytes]
    url: str

    @classmethod
    def start(cls, settings: Settings, command: str, stacks: Path | None = None) -> MeasuredService:
        """Start `calodqm run` or `calodqm score`.

        Parameters
        ----------
        stacks
            File that takes what its threads do; see `consumers.bench.flame`.
        """
        port = free_port()
        words = children.calodqm(
            command,
            *("--bootstrap", settings.bootstrap, "--http-port", str(port)),
            *("--artefact", str(settings.artefact), "--threads", str(settings.threads)),
        )
        if stacks is not None:
            words = [words[0], "-m", "consumers.bench.flame", str(stacks), *words[3:]]
        child = children.start(words, output=subprocess.DEVNULL)
        return cls(child, f"http://127.0.0.1:{port}/metrics")

    def process(self) -> psutil.Process:
        """Return the process."""
        return psutil.Process(self.child.pid)

    def cpu_s(self) -> float:
        """Return the CPU time used so far, s."""
        times = self.process().cpu_times()
        return float(times.user + times.system)

    def read(self) -> dict[str, float]:
        """Return the showers judged and scored, partitions, compiled models, time of the stages."""
        text = requests.get(self.url, timeout=10).text
        found: dict[str, float] = dict.fromkeys(
            ("scored", "assigned", "compiled", JUDGED, *STAGES), 0.0
        )
        names = {
            "calodqm_showers_scored_total": "scored",
            "calodqm_assigned_partitions": "assigned",
            "calodqm_model_compiled": "compiled",
            JUDGED: JUDGED,
        }
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = names.get(sample.name, "")
                if sample.name == "calodqm_stage_seconds_sum":
                    name = sample.labels["stage"]
                if name:
                    found[name] = found.get(name, 0.0) + sample.value
        return found

    def wait(self, left_s: Callable[[dict[str, float]], float], seconds: float, what: str) -> None:
        """Wait until nothing is left of what is waited for.

        Parameters
        ----------
        left_s
            Returns about how long it still takes, s, 0 when it is there, of what is exported.
        """
        deadline = time.monotonic() + seconds
        left = 0.0
        while time.monotonic() < deadline:
            try:
                left = left_s(self.read())
                if left <= 0:
                    return
            except requests.RequestException:
                pass  # not up yet
            # To answer costs the service some 10 ms, and what asks 20: seldom, until it is near.
            time.sleep(min(max(left / 4, SOON_S), SELDOM_S))
        raise UserError(f"the service did not come to {what} in {seconds:.0f} s")
