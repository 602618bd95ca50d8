"""Last words: what a broker says before it hangs up is heard.

The library reads until nothing more is there. Where that is the end of the connection, it throws
away what it has read (3.0.12): a broker that refuses a password and hangs up at once has said
nothing then, and is waited for like one that is away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka.net import manager
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

if TYPE_CHECKING:
    Transport = KafkaTCPTransport
else:
    Transport = object


class _Heard(Transport):  # type: ignore[misc]
    """Hands on what came; that the connection is at its end is found when it is read again."""

    def _sock_recv(self) -> tuple[bytes, Exception | None]:
        data, error = super()._sock_recv()
        return data, None if data else error


class HeardTCP(_Heard, KafkaTCPTransport):  # type: ignore[misc]
    """A connection without TLS."""


class HeardTLS(_Heard, KafkaSSLTransport):  # type: ignore[misc]
    """A connection with TLS."""


def heard() -> None:
    """Let the library hear a broker out, in this process."""
    manager.KafkaTCPTransport, manager.KafkaSSLTransport = HeardTCP, HeardTLS
