"""Page: what a process shows over HTTP, on loopback unless told otherwise.

Read-only, but for acknowledgements where a token switches them on: see `consumers.http.acts`.

Every process has /metrics, /healthz and /readyz; a judge has the live page with its state,
pictures of showers and the runbooks as well.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

from consumers.http.acts import UNKNOWN, ActError
from monitor.display import pictures
from monitor.display.metrics.judge import JudgeRole
from monitor.display.standing import state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from consumers.http.acts import Acts
    from monitor.display.metrics.exposition import Exposition
    from monitor.display.pictures import ShowerPicture
    from monitor.display.standing import Standing

_log = logging.getLogger(__name__)

FILES = Path(__file__).parents[2] / "monitor" / "display" / "page"
RUNBOOKS = Path(__file__).parents[2] / "deploy" / "runbooks"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

HANG_S = 30.0
"""A main loop that has not been round for so long hangs: /healthz says so and it is restarted."""

REQUEST_S = 10.0
"""A client that takes longer than this over its request is cut off."""

POLICY = (
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'none'; "
    "base-uri 'none'"
)
"""Nothing from outside, no inline script: what comes over Kafka can never run in the browser."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200
    max_age_s: int = 0
    """How long a browser may keep it; 0: not at all."""


@dataclass(frozen=True, slots=True)
class ShowerCoordinates:
    """Where a shower is: record and row."""

    topic: str
    partition: int
    offset: int
    row: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the page's table on whether the service can be trusted."""

    text: str
    worry: bool = False


class Health:
    """Whether every job of the process still goes round, and whether it does its work.

    Parameters
    ----------
    patience_s
        A job that has waited this long for a read or a write to go through is not ready, s.
    now
        Seconds of a clock that never goes back.
    """

    def __init__(self, patience_s: float = 10.0, now: Callable[[], float] = time.monotonic) -> None:
        self.patience_s, self._clock = patience_s, now
        self._beats: dict[str, float] = {}
        self._ready: dict[str, bool] = {}
        self._why: dict[str, str] = {}
        self._waits: dict[tuple[str, str], float] = {}
        """Since when a job waits for what."""

    def beat(self, job: str) -> None:
        """Say that a job's main loop has been round."""
        self._beats[job] = time.monotonic()

    def ready(self, job: str, *, yes: bool) -> None:
        """Say whether a job does its work, or waits for the broker."""
        self._ready[job] = yes

    def denied(self, job: str, why: str) -> None:
        """Say why a broker does not let a job in; "" where it does."""
        self._why[job] = why
        self.beat(job)

    def waits(self, job: str, what: str) -> None:
        """Say that a job waits for something, from now on if it did not before."""
        self._waits.setdefault((job, what), self._clock())

    def went(self, job: str, what: str) -> None:
        """Say that what a job waited for went through."""
        self._waits.pop((job, what), None)

    def idles(self, job: str) -> None:
        """Say that a job has nothing to do, and so nothing to wait for."""
        for waiting in [waiting for waiting in list(self._waits) if waiting[0] == job]:
            self._waits.pop(waiting, None)

    def stuck(self) -> list[str]:
        """Return what is waited for longer than is well, since when, in words."""
        now, told = self._clock(), []
        for (job, what), since in sorted(self._waits.copy().items(), key=lambda item: item[1]):
            if now - since > self.patience_s:
                at = datetime.fromtimestamp(time.time() - (now - since), UTC)
                told.append(f"{job} waits for {what} since {at:%H:%M:%S} UTC, {now - since:.0f} s")
        return told

    def alive_reply(self) -> Reply:
        """Return the answer to a liveness probe."""
        now = time.monotonic()
        silent = {job: now - at for job, at in list(self._beats.items()) if now - at > HANG_S}
        if silent:
            words = ", ".join(f"{job} silent for {age:.0f} s" for job, age in silent.items())
            return Reply(f"{words}\n".encode(), status=503)
        return Reply(b"ok\n")

    def ready_reply(self) -> Reply:
        """Return the answer to a readiness probe."""
        waiting = [job for job, yes in list(self._ready.items()) if not yes]
        stuck = self.stuck()
        if waiting or stuck or not self._ready:
            words = [f"{job} ({why})" if (why := self._why.get(job)) else job for job in waiting]
            return Reply(f"not ready: {', '.join([*words, *stuck])}\n".encode(), status=503)
        return Reply(b"ready\n")


@dataclass
class Page:
    """The live page of a judge: the judge shows, any number of browsers look."""

    shower: Callable[[ShowerCoordinates], ShowerPicture | None] = lambda _: None
    """Finds a shower to draw; called from the server's threads."""

    runbooks: Path = RUNBOOKS
    silent_s: float = 10.0
    """The page calls itself stale after so long without a word of the judge or newer data."""

    stuck: Callable[[], list[str]] = list
    """Returns what the process waits for, in words; see `Health.stuck`."""

    acts: Acts | None = None
    """What people may say over the page; None: it is for looking only."""

    knocked: Callable[[str], None] = lambda _: None
    """Hears of every request to act without the token, with the address that it came from."""

    _troubles: dict[str, dict[str, Any]] = field(default_factory=dict)
    _now: bytes = b"null"
    _open: frozenset[str] = frozenset()
    _meta: dict[str, Any] = field(
        default_factory=lambda: {"role": JudgeRole.STARTING.value, "published_ns": 0}
    )
    _advanced_ns: int = 0
    _second: int | None = None

    def show(
        self,
        standing: Standing,
        service: Mapping[str, Line],
        role: JudgeRole = JudgeRole.ACTIVE,
    ) -> None:
        """Publish what the monitor stands at; call it at least every few seconds, changed or not.

        Parameters
        ----------
        service
            Further lines of the table of trust, by name: lag, rejects, model, ...
        role
            Only an active judge's page is live; a stand-by's says that it is one.
        """
        now_ns = time.time_ns()
        if standing.data_second != self._second:
            self._second, self._advanced_ns = standing.data_second, now_ns
        lines = {name: {"text": line.text, "worry": line.worry} for name, line in service.items()}
        meta = {
            "role": role.value,
            "published_ns": now_ns,
            "advanced_ns": self._advanced_ns,
            "silent_s": self.silent_s,
            "service": lines,
            "acts": self.acts is not None,
        }
        # The parts are replaced whole, so a reader in another thread needs no lock; a state one
        # show older than its times is harmless.
        self._open = frozenset(alarm.id for alarm in standing.alarms)
        self._now = orjson.dumps(state(standing))
        self._meta = meta

    def trouble(self, name: str, text: str) -> None:
        """Add a line to the table of trust that holds also while the judge says nothing."""
        self._troubles = {name: {"text": text, "worry": True}} if text else {}

    def reply(self, path: str, query: Mapping[str, list[str]]) -> Reply | None:
        """Return the answer to a GET, or None where there is nothing."""
        if path == "/api/state":
            return self._state()
        if path in _STATIC:
            return _STATIC[path]
        if path.startswith("/pictures/"):
            return self._picture(path.removeprefix("/pictures/"), query)
        if path.startswith("/runbooks/"):
            return self._runbook(path.removeprefix("/runbooks/"))
        return None

    def act(self, request: BaseHTTPRequestHandler) -> Reply:
        """Return the answer to a POST; the body is read only of who may act."""
        if self.acts is None or request.path != "/act":
            return Reply(b"nothing can be changed here\n", status=501)
        try:
            # A plain mapping would keep the case of names, which HTTP does not.
            size = self.acts.admit(request.headers)  # type: ignore[arg-type]
            body = request.rfile.read(size)
            done = self.acts.do(body, self._open, time.time_ns(), request.client_address[0])
        except ActError as error:
            if error.status == UNKNOWN:
                self.knocked(request.client_address[0])
            return Reply(orjson.dumps({"error": str(error)}), "application/json", error.status)
        except OSError:
            return Reply(b"too slow\n", status=408)
        return Reply(orjson.dumps({"done": done}), "application/json")

    def _state(self) -> Reply:
        meta = self._meta | {"served_ns": time.time_ns(), "now": orjson.Fragment(self._now)}
        stuck = self.stuck()  # asked here, for whoever waits does not show
        broker = {"text": "; ".join(stuck) or "answers", "worry": bool(stuck)}
        meta["service"] = meta.get("service", {}) | {"broker": broker} | self._troubles
        return Reply(orjson.dumps(meta), "application/json")

    def _picture(self, name: str, query: Mapping[str, list[str]]) -> Reply | None:
        match = _PICTURE.fullmatch(name)
        theme = query.get("theme", ["light"])[0]
        if match is None or theme not in pictures.INK:
            return None
        place = ShowerCoordinates(
            match["topic"], *(int(match[k]) for k in ("partition", "offset", "row"))
        )
        picture = self.shower(place)
        if picture is None:
            return None
        if match["kind"] == "png":
            return Reply(pictures.png(picture, theme), "image/png", max_age_s=3600)
        return Reply(pictures.svg(picture, theme).encode(), "image/svg+xml", max_age_s=3600)

    def _runbook(self, name: str) -> Reply | None:
        page = self.runbooks / f"{name}.md"
        if not _NAME.fullmatch(name) or not page.is_file():
            return None
        return Reply(page.read_bytes())


_PICTURE = re.compile(
    r"(?P<topic>[\w.-]{1,249})/(?P<partition>\d{1,9})/(?P<offset>\d{1,18})/(?P<row>\d{1,9})"
    r"\.(?P<kind>svg|png)",
    re.ASCII,
)
_NAME = re.compile(r"[A-Za-z][\w-]{0,63}", re.ASCII)
_STATIC = {
    "/" if path.name == "index.html" else f"/{path.name}": Reply(
        path.read_bytes(), f"{TYPES[path.suffix]}; charset=utf-8"
    )
    for path in sorted(FILES.iterdir())
}


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
