"""TLS: one handshake of our own before a client is made, so that what is wrong is said in a line.

kafka-python tries a certificate that cannot be right again and again and ends in a mere time-out;
before a broker that speaks no TLS it waits without end.
"""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from consumers.wire.record import Denied, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

HANDSHAKE_S = 5.0

_CORRELATION = struct.pack(">i", 1)
_API_VERSIONS = struct.pack(">hh", 18, 0) + _CORRELATION + struct.pack(">h", -1)
"""The one request that every broker answers before it knows who asks (Kafka protocol guide)."""


def probe(bootstrap: str, security: Mapping[str, Any]) -> None:
    """Return if one of the brokers takes our TLS.

    Raises
    ------
    Denied
        If a certificate, ours or a broker's, is not accepted, or a file of ours cannot be read.
    Refused
        If the listener speaks no TLS.
    Unavailable
        If no broker answers.
    """
    context = _context(security)
    problems: list[Exception] = []
    for address in bootstrap.split(","):
        try:
            _greet(address.strip(), context)
        except (Refused, Unavailable) as error:
            problems.append(error)
        else:
            return
    raise next((p for p in problems if isinstance(p, Refused)), problems[0])


def _context(security: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    authorities, certificate = security.get("ssl_cafile"), security.get("ssl_certfile")
    try:
        if authorities is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(authorities)
    except OSError as error:
        raise Denied(f"authorities {authorities}: {_reason(error)}") from None
    try:
        if certificate is not None:
            key, password = security.get("ssl_keyfile"), security.get("ssl_password")
            context.load_cert_chain(certificate, key, password)
    except OSError as error:
        raise Denied(f"certificate {certificate}: {_reason(error)}") from None
    return context


def _greet(address: str, context: ssl.SSLContext) -> None:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    answered = False
    try:
        with (
            socket.create_connection((host, int(port)), HANDSHAKE_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            # Whether the broker takes our certificate is known only when it answers (TLS 1.3);
            # what it says of that is there to be read even where it has hung up before we ask.
            with suppress(OSError):
                secured.sendall(struct.pack(">i", len(_API_VERSIONS)) + _API_VERSIONS)
            answered = bool(secured.recv(4))
    except ssl.SSLCertVerificationError as error:
        raise Denied(f"certificate of {address}: {error.verify_message}") from None
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError):
        answered = False
    except ssl.SSLError as error:
        raise Denied(f"TLS with {address}: {_reason(error)}") from None
    except TimeoutError:
        _speaks_no_tls(address, host, port)
        raise Unavailable(f"{address} does not answer in {HANDSHAKE_S:.0f} s") from None
    except (OSError, ValueError) as error:
        raise Unavailable(f"{address}: {error}") from None
    if not answered:
        _speaks_no_tls(address, host, port)
        raise Unavailable(f"{address} hung up: it is going down, or wants a certificate of ours")


def _speaks_no_tls(address: str, host: str, port: str) -> None:
    """Raise `Refused` if a listener answers without TLS what it did not answer with it."""
    try:
        with socket.create_connection((host, int(port)), HANDSHAKE_S) as plain:
            plain.sendall(struct.pack(">i", len(_API_VERSIONS)) + _API_VERSIONS)
            answer = plain.recv(8)
    except OSError:
        return
    if answer[4:8] == _CORRELATION:
        raise Refused(
            f"{address} is a listener without TLS: another port, or "
            "CALODQM_SECURITY_PROTOCOL=PLAINTEXT or SASL_PLAINTEXT"
        )


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return error.strerror or str(error)
