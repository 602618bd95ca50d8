"""Doors before brokers: a network that can be cut between clients and a broker.

While a door is shut what was sent is held back, not lost, and nobody is hung up on: that is how a
network that drops everything looks to both ends until it heals. (A new connection is taken by the
kernel and hears nothing.) The brokers among themselves go by other ways: a leader whom no client
reaches stays the leader.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Door:
    """Takes connections at `port` and goes on with them to a port behind."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self._through = threading.Event()
        self._through.set()
        self._over = False

    def open_to(self, port: int) -> None:
        """Begin to take connections."""
        self._start(self._listen, port)

    def shut(self) -> None:
        self._through.clear()

    def open(self) -> None:
        self._through.set()

    def end(self) -> None:
        self._over = True
        self.open()
        with suppress(OSError):  # wakes who waits for a connection
            socket.create_connection(("127.0.0.1", self.port), 0.2).close()
        self._socket.close()

    def _listen(self, port: int) -> None:
        while True:
            try:
                one, _ = self._socket.accept()
            except OSError:
                return
            if self._over:
                return
            self._start(self._serve, one, port)

    def _serve(self, one: socket.socket, port: int) -> None:
        self._through.wait()
        try:
            behind = socket.create_connection(("127.0.0.1", port))
        except OSError:
            one.close()
            return
        for each in (one, behind):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = self._start(self._pump, behind, one)
        self._pump(one, behind)
        back.join()
        one.close()
        behind.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._through.wait()
                sink.sendall(data)
        self._through.wait()
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _start(self, work: object, *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        return thread
