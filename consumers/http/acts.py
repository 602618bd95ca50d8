"""Acts: what people may say over the page, where the operator has switched it on with a token.

The same acknowledgement as `calodqm ack` writes, and nothing else. Every check comes before what it
protects: the origin and the token before the body is read, its size before it is parsed.
"""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import Field, TypeAdapter, with_config

from consumers.wire import schema
from consumers.wire.block import DecodeError
from consumers.wire.user_error import UserError
from monitor.quality.acknowledgements import MAX_TEXT, Acknowledgement, MaskError, parse_masks
from monitor.quality.bounds import SPOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from models.detector.geometry import Geometry
    from monitor.detector.tree import Detector

_log = logging.getLogger(__name__)

MAX_BYTES = 4096
"""Of a request's body: a cause of `MAX_TEXT` characters, and some masks."""

UNKNOWN = 401
"""Status of a request that does not know the token."""

MAX_MASKS = 16
LAST_SECOND = 2**33
"""Data times beyond this, s since 1970 UTC, are mistakes."""


@with_config(SPOKEN)
@dataclass(frozen=True, slots=True)
class Request:
    """What the page sends; every field is needed."""

    alarm: str
    who: str
    cause: str
    masks: Annotated[
        tuple[Annotated[str, Field(max_length=MAX_TEXT)], ...], Field(max_length=MAX_MASKS)
    ]
    until_s: Annotated[int, Field(gt=0, lt=LAST_SECOND)] | None
    """Data time, s since 1970 UTC."""

    lift: bool


_REQUEST = TypeAdapter(Request)
_NAMES = ", ".join(Request.__slots__)


class ActError(Exception):
    """A request that is not carried out: its HTTP status, and why in a line."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Acts:
    """What is done with a request to act."""

    token: str = field(repr=False)
    """What a client must know."""

    detector: Detector
    geometry: Geometry
    say: Callable[[Acknowledgement], None]
    """Puts an act where the judge reads it; raises `UserError` if the broker does not take it."""

    def admit(self, headers: Mapping[str, str]) -> int:
        """Return the bytes of the body of a request that may be read, or raise `ActError`."""
        if headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
            raise ActError(415, "an act is application/json")
        _same_origin(headers)
        kind, _, given = headers.get("Authorization", "").partition(" ")
        known = hmac.compare_digest(given.strip().encode(), self.token.encode())
        if kind != "Bearer" or not known:
            raise ActError(UNKNOWN, "wrong token")
        length = headers.get("Content-Length", "")
        if "Transfer-Encoding" in headers or not (length.isascii() and length.isdigit()):
            raise ActError(411, "an act says how long it is")
        if len(length) > 9 or int(length) > MAX_BYTES:
            raise ActError(413, f"an act has {MAX_BYTES} bytes at most")
        return int(length)

    def do(
        self, body: bytes, is_open: Callable[[str], bool | None], time_ns: int, client: str
    ) -> str:
        """Carry an act out and return what was done, in a line, or raise `ActError`.

        Parameters
        ----------
        is_open
            Returns whether the alarm of an id is open; None while that is not known yet.
        time_ns
            Wall clock, ns since 1970 UTC.
        client
            Address that asks, for the log.
        """
        request = _read(body)
        match is_open(request.alarm):
            case None:
                raise ActError(503, "which alarms are open is still being read: again in a moment")
            case False:
                raise ActError(404, "no such open alarm")
        act = self._act(request, time_ns)
        try:
            self.say(act)
        except UserError as error:
            raise ActError(503, str(error)) from None
        _log.info("%s, from %s: %s", act.who, client, act)
        return f"{'lifted' if act.lifted else 'acknowledged'} {act.alarm}"

    def _act(self, request: Request, time_ns: int) -> Acknowledgement:
        try:
            masks = [
                mask
                for text in request.masks
                for mask in parse_masks(text, self.detector, self.geometry)
            ]
            return Acknowledgement(
                alarm=request.alarm,
                who=request.who.strip(),
                cause=request.cause.strip(),
                time_ns=time_ns,
                masks=tuple(masks),
                until_ns=None if request.until_s is None else request.until_s * 10**9,
                lifted=request.lift,
            )
        except (MaskError, ValueError) as error:
            raise ActError(400, str(error)) from None


def _same_origin(headers: Mapping[str, str]) -> None:
    """Refuse what another site's script sends with this browser's hands."""
    try:
        origin = urlsplit(headers.get("Origin", "")).netloc
    except ValueError:  # no address
        origin = ""
    site = headers.get("Sec-Fetch-Site", "same-origin")
    # The scheme may differ: a proxy that ends TLS speaks plain HTTP to us.
    if not origin or origin != headers.get("Host") or site != "same-origin":
        raise ActError(403, "an act comes from the page itself")


def _read(body: bytes) -> Request:
    try:
        return schema.read(_REQUEST, body)
    except DecodeError as error:
        raise ActError(400, f"an act has the fields {_NAMES}: {error.detail}") from None
