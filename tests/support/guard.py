"""A broker's door that refuses everybody: just enough of the Kafka protocol to say no to SASL."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Self

API_VERSIONS, HANDSHAKE, AUTHENTICATE, METADATA = 18, 17, 36, 3
AUTHENTICATION_FAILED = 58
UNSUPPORTED_VERSION = 35


class Guard:
    """Listens on a loopback port for as long as the `with` block lasts."""

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.refusals = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                with client, contextlib.suppress(OSError, struct.error):
                    self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        while True:
            (length,) = struct.unpack(">i", client.recv(4, socket.MSG_WAITALL))
            request = client.recv(length, socket.MSG_WAITALL)
            key, version, correlation = struct.unpack_from(">hhi", request)
            body = struct.pack(">i", correlation) + self._answer(key, version)
            client.sendall(struct.pack(">i", len(body)) + body)

    def _answer(self, key: int, version: int) -> bytes:
        if key == API_VERSIONS:
            error = 0 if version == 0 else UNSUPPORTED_VERSION
            known = [
                (API_VERSIONS, 0, 0),
                (HANDSHAKE, 0, 1),
                (AUTHENTICATE, 0, 0),
                (METADATA, 0, 1),
            ]
            rows = b"".join(struct.pack(">hhh", *row) for row in known)
            return struct.pack(">hi", error, len(known)) + rows
        if key == HANDSHAKE:
            return struct.pack(">hi", 0, 1) + struct.pack(">h", 5) + b"PLAIN"
        self.refusals += 1
        message = b"no entry"
        return (
            struct.pack(">hh", AUTHENTICATION_FAILED, len(message)) + message + struct.pack(">i", 0)
        )
