"""Page: what a judge shows over HTTP: its state, pictures of showers, runbooks.

Read-only, but for acknowledgements where a token switches them on: see `consumers.http.acts`.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from consumers.http.acts import UNKNOWN, ActError
from consumers.http.reply import Reply
from monitor.display import pictures
from monitor.display.metrics.judge import JudgeRole
from monitor.display.standing import state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from http.server import BaseHTTPRequestHandler

    from consumers.http.acts import Acts
    from consumers.http.channels import ChannelPages
    from monitor.display.pictures import ShowerPicture
    from monitor.display.standing import Standing

_log = logging.getLogger(__name__)

FILES = Path(__file__).parents[2] / "monitor" / "display" / "page"
RUNBOOKS = Path(__file__).parents[2] / "monitor" / "display" / "runbooks"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


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

    told_open: Callable[[str], bool | None] = lambda _: None
    """Returns whether an alarm is open by what the judge in office has said, for a stand-by, where
    people's acts may come as well; None while that is not known yet."""

    channels: ChannelPages | None = None
    """What the map of channels is drawn from; None where the detector has none."""

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
            "channels": self.channels is not None,
        }
        # The parts are replaced whole, so a reader in another thread needs no lock; a state one
        # show older than its times is harmless.
        if self.channels is not None:
            self.channels.now = standing.channel_map
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
        if path.startswith("/api/channels") and self.channels is not None:
            return self.channels.reply(path, query)
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
            done = self.acts.do(body, self._is_open, time.time_ns(), request.client_address[0])
        except ActError as error:
            if error.status == UNKNOWN:
                self.knocked(request.client_address[0])
            return Reply(orjson.dumps({"error": str(error)}), "application/json", error.status)
        except OSError:
            return Reply(b"too slow\n", status=408)
        return Reply(orjson.dumps({"done": done}), "application/json")

    def _is_open(self, alarm: str) -> bool | None:
        own = self._meta["role"] == JudgeRole.ACTIVE.value
        return alarm in self._open if own else self.told_open(alarm)

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
