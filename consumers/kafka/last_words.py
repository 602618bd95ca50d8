"""Last words: what a broker says before it hangs up is heard.

The library reads until nothing more is there. Where that is the end of the connection, it throws
away what it has read (3.0.12): a broker that refuses a password and hangs up at once has said
nothing then, and is waited for like one that is away.
"""

from __future__ import annotations

from kafka.net import manager
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

Received = tuple[bytes, Exception | None]


class HeardTCP(KafkaTCPTransport):  # type: ignore[misc]
    """A connection without TLS."""

    def _sock_recv(self) -> Received:
        return _words_first(*super()._sock_recv())


class HeardTLS(KafkaSSLTransport):  # type: ignore[misc]
    """A connection with TLS."""

    def _sock_recv(self) -> Received:
        return _words_first(*super()._sock_recv())


def _words_first(data: bytes, error: Exception | None) -> Received:
    """Hand on what came: that nobody is there is found when it is read again."""
    return data, None if data else error


def heard() -> None:
    """Let the library hear a broker out, in this process."""
    manager.KafkaTCPTransport, manager.KafkaSSLTransport = HeardTCP, HeardTLS
