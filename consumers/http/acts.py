"""Acts: what people may say over the page, where the operator has switched it on with a token.

The same acknowledgement as `calodqm ack` writes, and nothing else. Every check comes before what it
protects: the origin and the token before the body is read, its size before it is parsed.
"""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from consumers.wire.failure import UserError
from monitor.quality.acknowledgements import MAX_TEXT, Acknowledgement, MaskError, parse_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from models.detector.geometry import Geometry
    from monitor.detector.tree import Detector

_log = logging.getLogger(__name__)

MAX_BYTES = 4096
"""Of a request's body: a cause of `MAX_TEXT` characters, and some masks."""

MAX_MASKS = 16
LAST_SECOND = 2**33
"""Data times beyond this, s since 1970 UTC, are mistakes."""

_FIELDS = {"alarm": str, "who": str, "cause": str, "masks": list, "until_s": int, "lift": bool}


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
            raise ActError(401, "wrong token")
        length = headers.get("Content-Length", "")
        if "Transfer-Encoding" in headers or not (length.isascii() and length.isdigit()):
            raise ActError(411, "an act says how long it is")
        if len(length) > 9 or int(length) > MAX_BYTES:
            raise ActError(413, f"an act has {MAX_BYTES} bytes at most")
        return int(length)

    def do(self, body: bytes, alarms: Collection[str], time_ns: int, client: str) -> str:
        """Carry an act out and return what was done, in a line, or raise `ActError`.

        Parameters
        ----------
        alarms
            Ids of the open ones.
        time_ns
            Wall clock, ns since 1970 UTC.
        client
            Address that asks, for the log.
        """
        act = self._act(_fields(body), alarms, time_ns)
        try:
            self.say(act)
        except UserError as error:
            raise ActError(503, str(error)) from None
        _log.info("%s, from %s: %s", act.who, client, act)
        return f"{'lifted' if act.lifted else 'acknowledged'} {act.alarm}"

    def _act(
        self, fields: dict[str, Any], alarms: Collection[str], time_ns: int
    ) -> Acknowledgement:
        if fields["alarm"] not in alarms:
            raise ActError(404, "no such open alarm")
        until_s = fields["until_s"]
        if until_s is not None and not 0 < until_s < LAST_SECOND:
            raise ActError(400, "until_s is no data time")
        try:
            return Acknowledgement(
                alarm=fields["alarm"],
                who=fields["who"].strip(),
                cause=fields["cause"].strip(),
                time_ns=time_ns,
                masks=tuple(
                    parse_mask(text, self.detector, self.geometry) for text in fields["masks"]
                ),
                until_ns=None if until_s is None else until_s * 10**9,
                lifted=fields["lift"],
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


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ActError(400, "not JSON") from None
    if not isinstance(fields, dict) or set(fields) != set(_FIELDS):
        raise ActError(400, f"an act has the fields {', '.join(_FIELDS)}")
    for name, kind in _FIELDS.items():
        value = fields[name]
        # A truth value is an int to Python, but not to people.
        if type(value) is not kind and not (name == "until_s" and value is None):
            raise ActError(400, f"{name} is no {kind.__name__}")
    masks = fields["masks"]
    if len(masks) > MAX_MASKS or not all(isinstance(m, str) and len(m) <= MAX_TEXT for m in masks):
        raise ActError(400, f"masks are {MAX_MASKS} texts at most")
    return fields
