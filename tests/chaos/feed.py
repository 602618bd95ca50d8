"""The stream that chaos is done to: sent as it is due, by another client that gives nothing up."""

from __future__ import annotations

import threading
import time

from confluent_kafka import KafkaError, Message, Producer
from services import POOL

from consumers.app import environment
from consumers.app.detector_files import detector_of, geometry_of
from consumers.cli.stream import Beam, Stream
from consumers.wire import topics
from models.showers import readers
from models.showers.pool import clean
from models.showers.symmetries import Symmetry
from models.simulation import fault_form

PARTITIONS = 4


class Feed(threading.Thread):
    """Sends until it is ended."""

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
                "delivery.timeout.ms": 2**31 - 1, "log_level": 0, "error_cb": self._wrong,
            }
        )  # fmt: skip
        self.sent, self.over = 0, threading.Event()
        self.given_up: list[str] = []
        """What the client said that it gave up, and why."""

    def run(self) -> None:
        began = time.monotonic()
        for piece in self.stream:
            while not self.over.is_set() and piece.due_s > time.monotonic() - began:
                self.producer.poll(0.05)
            if self.over.is_set():
                break
            self.producer.produce(
                topics.SHOWERS, piece.value, key=piece.key, partition=piece.partition,
                on_delivery=self._delivered,
            )  # fmt: skip
            self.sent += piece.showers
        self.producer.flush()

    def end(self) -> int:
        self.over.set()
        self.join()
        return self.sent

    def _wrong(self, error: KafkaError) -> None:
        if error.fatal():
            self.given_up.append(str(error))

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.given_up.append(f"{message.partition()}: {error}")
