"""Connection: where the brokers are, how to get in, and what their errors mean."""

from __future__ import annotations

import logging
import ssl
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kafka import TopicPartition
from kafka import errors as kafka_errors
from kafka.net.compat import KafkaNetClient

from consumers.kafka import tls
from consumers.kafka.last_words import heard
from consumers.kafka.unpacking import bound
from consumers.wire import topics
from consumers.wire.record import Denied, Namesake, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

bound()
heard()

_DENIED = (
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.AuthorizationError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.IllegalSaslStateError,
    kafka_errors.KafkaConfigurationError,
)
_NOT_BELIEVED = (kafka_errors.SaslAuthenticationFailedError, ssl.SSLCertVerificationError)
MENDED = (
    kafka_errors.UnknownError,
    kafka_errors.OffsetOutOfRangeError,
    kafka_errors.CorruptRecordError,
    kafka_errors.InvalidFetchRequestError,
    kafka_errors.InvalidRecordError,
    kafka_errors.UnsupportedCompressionTypeError,
    kafka_errors.BrokerNotAvailableError,
    kafka_errors.StaleControllerEpochError,
    kafka_errors.StaleBrokerEpochError,
    kafka_errors.BrokerIdNotRegisteredError,
    kafka_errors.OperationNotAttemptedError,
    kafka_errors.ReassignmentInProgressError,
    kafka_errors.NewLeaderElectedError,
    kafka_errors.OffsetMovedToTieredStorageError,
    kafka_errors.PositionOutOfRangeError,
    # Of the group: a member joins again.
    kafka_errors.IllegalGenerationError,
    kafka_errors.UnknownMemberIdError,
    kafka_errors.MemberIdRequiredError,
    kafka_errors.RebalanceInProgressError,
    kafka_errors.FencedMemberEpochError,
    kafka_errors.StaleMemberEpochError,
    kafka_errors.GroupIdNotFoundError,
    # Of the producer: a new one begins to count from anew.
    kafka_errors.OutOfOrderSequenceNumberError,
    kafka_errors.DuplicateSequenceNumberError,
    kafka_errors.UnknownProducerIdError,
    kafka_errors.InvalidProducerEpochError,
    kafka_errors.InvalidProducerIdMappingError,
    kafka_errors.InvalidTxnStateError,
    kafka_errors.ProducerFencedError,
    kafka_errors.TransactionCoordinatorFencedError,
    kafka_errors.TransactionAbortableError,
)
"""What the library does not try again, and a new client, or another look at the log, mends."""

# Odd answers of a broker that goes down raise odd errors out of the client: struct.error among them.
GONE = (kafka_errors.KafkaError, OSError, struct.error, ConnectionError)
"""What the client raises when nobody is there."""

LONGEST_LINE = 300
"""Characters of an error that people are shown."""

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

    secrets: Mapping[str, Path] = field(default_factory=dict)
    """Options of the same kind that are what a file holds whenever a client is made."""

    name: str = "calodqm"
    """What brokers call our clients in their logs, quotas and lists of members."""

    rack: str = ""
    """Where we are; replicas there are read from, if the brokers are set so."""

    prefix: str = ""
    """What the names of our own topics begin with on the cluster: two services keep apart by it."""

    def there(self, topic: str) -> str:
        """Return what the cluster calls a topic: of our own, all else of us says the name alone."""
        return self.prefix + topic if topic in topics.OURS else topic

    def here(self, name: str) -> str:
        """Return what we call a topic of the cluster."""
        ours = name.removeprefix(self.prefix)
        return ours if self.there(ours) == name else name

    def options(self) -> dict[str, Any]:
        """Return what every client needs, with the secrets as they are now."""
        return {
            "bootstrap_servers": self.bootstrap.split(","),
            "client_id": self.name,
            "reconnect_backoff_max_ms": 2000,
            "bootstrap_timeout_ms": 5_000,
            # Who leads is asked again this often: a broker that hangs says nothing of its successor.
            "metadata_max_age_ms": 5_000,
            **self.security,
            **{name: read_secret(path) for name, path in self.secrets.items()},
        }

    def proven(self) -> dict[str, Any]:
        """Return the options; where it is to be TLS, after a handshake that shows that it works."""
        if str(self.security.get("security_protocol", "")).endswith("SSL"):
            tls.probe(self.bootstrap, self.security)
        return self.options()


def read_secret(path: Path) -> str:
    """Return what a file of one secret holds, less the newline at its end, or raise `Denied`."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeError) as error:
        raise Denied(f"{path}: {getattr(error, 'strerror', None) or error}") from None


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
        client.cluster.broker_metadata = _bare(client.cluster.broker_metadata)
        return client

    try:
        with translated():
            return make(kafka_client=begin, **options, **connection.proven())
    except BaseException:
        for client in begun:
            client.close()
        raise


def _bare(find: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what finds a broker, by an address without brackets.

    Some brokers say `[::1]` where Apache's says `::1`; other clients take both, the library looks
    the brackets up as a name.
    """

    def found(node: Any) -> Any:
        broker = find(node)
        if broker is not None:
            broker.host = broker.host.strip("[]")
        return broker

    return found


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
            # Of a handshake that failed the library tells the words, and keeps the error itself.
            for error in (argument, getattr(argument, "__context__", None)):
                if isinstance(error, (*_DENIED, ssl.SSLCertVerificationError)):
                    self._newest = (time.monotonic(), error)

    def since(self, moment: float) -> BaseException | None:
        """Return a refusal that came after a moment, None if there was none."""
        newest = self._newest
        return newest[1] if newest is not None and newest[0] >= moment else None


_denials = _Denials()
_library = logging.getLogger("kafka")
_library.setLevel(logging.WARNING)
_library.propagate = False
_library.addHandler(_denials)


Meanings = Mapping[type[BaseException], Callable[[], str]]
"""What an error of the broker means where it came: which setting, and what the limit is."""


@contextmanager
def translated(
    meanings: Meanings = MappingProxyType({}), *, through: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turn kafka-python's errors into the two that the callers tell apart, but for some.

    `Refused` is what will be refused again, whatever we try; all else is `Unavailable`.
    """
    began = time.monotonic()
    try:
        yield
    except through:
        raise
    except GONE as error:
        denied = error if _for_good(error) else _denials.since(began)
        if denied is not None:
            meaning = meanings.get(type(denied))
            raise _kind(denied)(in_words(denied) if meaning is None else meaning()) from error
        raise Unavailable(in_words(error)) from error


def _kind(error: BaseException) -> type[Refused]:
    if isinstance(error, kafka_errors.FencedInstanceIdError):
        return Namesake
    return Denied if isinstance(error, _NOT_BELIEVED) else Refused


def _for_good(error: BaseException) -> bool:
    """Return whether the same would be refused again: to us, and to any new client of ours."""
    if isinstance(error, _DENIED):
        return True
    answered = isinstance(error, kafka_errors.BrokerResponseError)
    retriable = getattr(error, "retriable", True)
    return answered and not retriable and not isinstance(error, MENDED)


def in_words(error: BaseException) -> str:
    """Return what an error says, in one line that is not a page."""
    name = type(error).__name__
    said = " ".join(str(error.args[0]).split()) if error.args else ""
    if not said or len(said) > LONGEST_LINE:  # the library quotes whole requests
        said = " ".join(str(getattr(error, "description", None) or said).split())
    return f"{name}: {said[:LONGEST_LINE]}" if said else name
