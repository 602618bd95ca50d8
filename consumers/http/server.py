"""Server: the HTTP of a process, on loopback unless told otherwise.

Every process has /metrics, /healthz and /readyz; a judge has its page as well.
"""

from __future__ import annotations

import logging
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from consumers.http.reply import Reply

if TYPE_CHECKING:
    from consumers.http.health import Health
    from consumers.http.page import Page
    from monitor.display.metrics.exposition import Exposition

_log = logging.getLogger(__name__)

REQUEST_S = 10.0
"""A client that takes longer than this over its request is cut off."""

POLICY = (
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'none'; "
    "base-uri 'none'"
)
"""Nothing from outside, no inline script: what comes over Kafka can never run in the browser."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class Server:
    """The HTTP server of a process; `port` 0 takes a free one.

    Parameters
    ----------
    page
        What a judge shows; None for a worker.
    """

    def __init__(
        self,
        exposition: Exposition,
        health: Health,
        page: Page | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        handler = type("Handler", (_Handler,), {"sources": (exposition, health, page)})
        family = _Server6 if ":" in host else _Server
        self._server = family((host, port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self.host, self.port = host, int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Return where people find it."""
        every = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
        host = every.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    sources: tuple[Exposition, Health, Page | None]
    timeout = REQUEST_S
    server_version = "calodqm"
    sys_version = ""

    def do_GET(self) -> None:
        self._send(self._reply(), body=True)

    def do_HEAD(self) -> None:
        self._send(self._reply(), body=False)

    def do_POST(self) -> None:
        page = self.sources[2]
        refused = Reply(b"nothing can be changed here\n", status=501)
        reply = refused if page is None else page.act(self)
        # What was not read of a body must not be taken for the next request.
        self.close_connection = True
        self._send(reply, body=True)

    def _reply(self) -> Reply:
        exposition, health, page = self.sources
        try:
            url = urlsplit(self.path)
        except ValueError:
            return Reply(b"no address\n", status=400)
        if url.path == "/metrics":
            body, content_type = exposition.render(self.headers.get("Accept", ""))
            return Reply(body, content_type)
        if url.path == "/healthz":
            return health.alive_reply()
        if url.path == "/readyz":
            return health.ready_reply()
        found = page.reply(unquote(url.path), parse_qs(url.query)) if page else None
        if found is None and page is None and url.path == "/":
            return Reply(b"A score worker: see /metrics, /healthz, /readyz.\n")
        return found or Reply(b"not found\n", status=404)

    def _send(self, reply: Reply, *, body: bool) -> None:
        self.send_response(reply.status)
        keep = f"max-age={reply.max_age_s}" if reply.max_age_s else "no-store"
        for name, value in (
            ("Content-Type", reply.content_type),
            ("Content-Length", str(len(reply.body))),
            ("Cache-Control", keep),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
        ):
            self.send_header(name, value)
        try:
            self.end_headers()
            if body:
                self.wfile.write(reply.body)
        except ConnectionError:
            _log.debug("%s went away", self.client_address)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        _log.debug(format, *args)
