"""Connection: where the brokers are, how to get in, and what their errors mean."""

from __future__ import annotations

import logging
import struct
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kafka import TopicPartition
from kafka import errors as kafka_errors
from kafka.net.compat import KafkaNetClient

from consumers.kafka import tls
from consumers.wire.record import MAX_RECORD_BYTES, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_DENIED = (
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.AuthorizationError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.IllegalSaslStateError,
    kafka_errors.KafkaConfigurationError,
)
# Odd answers of a broker that goes down raise odd errors out of the client: struct.error among them.
_TOO_LARGE = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)
GONE = (kafka_errors.KafkaError, OSError, struct.error, ConnectionError)
"""What the client raises when nobody is there."""

ISOLATION = "read_committed"
"""What a transaction wrote and took back was never said."""

FETCH_BYTES = 4 << 20
"""Read in large pieces: one fetch is in flight at a time."""


@dataclass(frozen=True)
class Connection:
    """Where the brokers are and how to get in."""

    bootstrap: str
    """host:port, comma-separated."""

    security: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Options of TLS and SASL under kafka-python's names, passed through."""

    def options(self) -> dict[str, Any]:
        """Return what every client needs."""
        return {
            "bootstrap_servers": self.bootstrap.split(","),
            "reconnect_backoff_max_ms": 2000,
            "bootstrap_timeout_ms": 5_000,
            **self.security,
        }

    def proven(self) -> dict[str, Any]:
        """Return the options; where it is to be TLS, after a handshake that shows that it works."""
        if str(self.security.get("security_protocol", "")).endswith("SSL"):
            tls.probe(self.bootstrap, self.security)
        return self.options()


def opened(make: Callable[..., Any], connection: Connection, **options: Any) -> Any:
    """Return a client that `make` makes; where it cannot be made, nothing of it stays open.

    The library leaves a thread and sockets behind in a constructor that finds nobody, and whoever
    waits for a broker asks again for ever.
    """
    begun: list[KafkaNetClient] = []

    def begin(**given: Any) -> KafkaNetClient:
        client = KafkaNetClient(**given)
        begun.append(client)
        # The library takes this option and forgets to pass it on (3.0.12).
        option = "allow_auto_create_topics"
        client.cluster.config[option] = given.get(option, True)
        return client

    try:
        with translated():
            return make(kafka_client=begin, **options, **connection.proven())
    except BaseException:
        for client in begun:
            client.close()
        raise


def places_of(error: kafka_errors.KafkaError) -> list[TopicPartition]:
    """Return the places that an error of the client says are not on their logs."""
    if isinstance(error, kafka_errors.LogTruncationError):
        return list(error.divergent_offsets)
    return list(error.args[0]) if error.args else []


class _Denials(logging.Handler):
    """Hears of refusals: kafka-python logs them, tries again, and ends in a mere time-out.

    What else it logs comes to us as errors too, and we say it once, in a line.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._newest: tuple[float, BaseException] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Remember a refusal."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        for argument in arguments:
            if isinstance(argument, _DENIED):
                self._newest = (time.monotonic(), argument)

    def since(self, moment: float) -> BaseException | None:
        """Return a refusal that came after a moment, None if there was none."""
        newest = self._newest
        return newest[1] if newest is not None and newest[0] >= moment else None


_denials = _Denials()
_library = logging.getLogger("kafka")
_library.setLevel(logging.WARNING)
_library.propagate = False
_library.addHandler(_denials)


@contextmanager
def translated(*through: type[Exception]) -> Iterator[None]:
    """Turn kafka-python's errors into the two that the callers tell apart, but for some."""
    began = time.monotonic()
    try:
        yield
    except through:
        raise
    except _TOO_LARGE as error:
        # Never taken, however often it is sent: an operator must see it.
        said = f"raise its max.message.bytes to {MAX_RECORD_BYTES}"
        raise Refused(f"a record is larger than its topic takes: {said} ({error})") from error
    except _DENIED as error:
        raise Refused(str(error)) from error
    except GONE as error:
        denied = _denials.since(began)
        if denied is not None:
            raise Refused(str(denied)) from error
        name, said = type(error).__name__, str(error)
        # kafka-python's own errors begin with their name; what the system raises does not.
        raise Unavailable(said if said.startswith(name) else f"{name}: {said}") from error
