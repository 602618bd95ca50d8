"""Ends: where the partitions of a topic end, asked for beside the fetches."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from kafka import KafkaConsumer, TopicPartition

from consumers.kafka.connection import ISOLATION, opened, translated
from consumers.wire.record import Denied, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumers.kafka.connection import Connection

logger = logging.getLogger(__name__)

ASK_S = 0.25
"""Time between two questions."""

ANSWER_MS = 2_000
"""A broker that takes longer has not answered."""


class Ends:
    """Asks the brokers in a thread of its own, and remembers when each partition was answered for.

    What a fetch says of the end is as old as the fetch: where fetches stall, it stays as it was.
    """

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection, self._topic = connection, connection.there(topic)
        self._wanted: frozenset[int] = frozenset()
        self._answers: dict[int, tuple[int, float]] = {}
        self._denied: Denied | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ends of {topic}", daemon=True)
        self._thread.start()

    def want(self, partitions: Iterable[int]) -> None:
        """Say of which partitions the ends are wanted from now on."""
        self._wanted = frozenset(partitions)

    def of(self, partition: int) -> tuple[int, float] | None:
        """Return the end of a partition and how old the answer is, s; None if there is none."""
        answer = self._answers.get(partition)
        return None if answer is None else (answer[0], time.monotonic() - answer[1])

    def raise_denied(self) -> None:
        """Raise `Denied` if nobody answers, and who we are or who they are was not believed.

        Fetches do not say so: the library goes on trying for them, and returns nothing.
        """
        if self._denied is not None:
            raise self._denied

    def close(self) -> None:
        """Ask no more."""
        self._stopping.set()
        self._thread.join(ANSWER_MS / 1000)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                consumer = opened(
                    KafkaConsumer,
                    self._connection,
                    group_id=None,
                    allow_auto_create_topics=False,
                    isolation_level=ISOLATION,
                    metrics_enabled=False,
                )
            except (Unavailable, Refused) as error:  # whoever fetches says so too
                logger.info("ends of %s: %s", self._topic, error)
                self._stopping.wait(ASK_S)
                continue
            try:
                while not self._stopping.wait(ASK_S):
                    self._ask(consumer)
            finally:
                consumer.close(autocommit=False, timeout_ms=1000)

    def _ask(self, consumer: KafkaConsumer) -> None:
        wanted = self._wanted
        answered = self._asked(consumer, wanted)
        if not answered:
            # One broker that is away must not make the others unknown.
            one_by_one = [self._asked(consumer, [partition]) for partition in wanted]
            answered = any(one_by_one)
        if answered:
            self._denied = None
        self._answers = {p: a for p, a in self._answers.items() if p in wanted}

    def _asked(self, consumer: KafkaConsumer, partitions: Iterable[int]) -> bool:
        """Ask for some partitions; return whether all was answered."""
        places = [TopicPartition(self._topic, p) for p in partitions]
        began = time.monotonic()  # the end may have grown since
        try:
            with translated():
                found = consumer.end_offsets(places, timeout_ms=ANSWER_MS) if places else {}
        except (Unavailable, Refused) as error:
            logger.info("ends of %s: %s", self._topic, error)
            self._denied = error if isinstance(error, Denied) else self._denied
            return False
        self._answers |= {place.partition: (int(end), began) for place, end in found.items()}
        return True
