"""A worker and a judge that count, without scoring anything: what Prometheus sees of a detector."""

import threading
import time
from dataclasses import replace

import numpy as np
from standings import CARD, DETECTOR, EXPECTED_RATE, count, expositions, scored, standing

from consumers.http.health import Health
from consumers.http.server import Server
from monitor.display.metrics.judge import JudgeRole
from monitor.display.metrics.worker import WorkerState


class Detector:
    """A worker and a judge that count, fed by a thread; faults are switched on by hand."""

    def __init__(self, showers=1000, every_s=0.1):
        self._showers, self._every_s = showers, every_s
        self.exposition, self.worker, self.judge = expositions()
        self.server = Server(self.exposition, Health())
        self.strange, self.silent, self.standing = {}, set(), standing()
        self.role, self.age_s = JudgeRole.ACTIVE, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.server.start()
        self._thread.start()
        return self

    def stop(self):
        self._stop.set()
        self._thread.join()
        self.server.stop()

    def _run(self):
        rng = np.random.default_rng(7)
        self.worker.state(WorkerState.SCORING)
        self.worker.model("flux", "5f" * 32, "1", CARD)
        while not self._stop.wait(self._every_s):
            now = time.time()
            for region in DETECTOR.regions:
                if region.name in self.silent:
                    continue
                batch = scored(
                    self._showers,
                    seed=int(rng.integers(2**31)),
                    excess=self.strange.get(region.name, 0),
                )
                count(
                    self.worker,
                    batch,
                    np.full(batch.n, region.id),
                    EXPECTED_RATE,
                    where=where,
                    at=now,
                )
            self.worker.consumed(1)
            nothing_comes = len(self.silent) == len(DETECTOR.regions)
            newest = now - self.age_s if nothing_comes else now
            self.worker.published(int(newest * 1e9), 456_789, 12, now)
            self.judge.state(self.role)
            active = self.role is JudgeRole.ACTIVE
            here = self.standing
            if here.data_second is not None:
                here = replace(here, data_second=int(now) - self.age_s)
            self.judge.standing(here if active else None)


def where(index):
    return {"event": str(index), "record": f"calo.showers.v1/0/7/{index}"}
