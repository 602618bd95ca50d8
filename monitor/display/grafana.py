"""Grafana: data source, folder, dashboards and annotations. The only file that imports grafana_api.

grafana_api is of 2020 and knows data sources and annotations by their numbers, which Grafana no
longer answers to; its helpers also drop filters and wipe tags. So its verbs are used, and our own
paths: by uid throughout, with nothing sent that is not meant to change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import requests
from grafana_api.grafana_api import GrafanaException
from grafana_api.grafana_face import GrafanaFace

from monitor.quality.alarms import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.quality.acknowledgements import Acknowledgement
    from monitor.quality.alarms import Alarm

SOURCE = "calodqm-prometheus"
FOLDER = "calodqm"
SHIFT = "calodqm-shift"
TIMEOUT_S = 10.0

Json = dict[str, Any]


class GrafanaError(Exception):
    """Grafana does not answer, refuses, or answers nonsense; one line says which."""


class _NotFoundError(GrafanaError):
    pass


@dataclass(frozen=True, slots=True)
class Address:
    """Where Grafana is and how to get in."""

    url: str
    """Scheme, host, port and path, as people type it."""

    token: str
    """Of a service account with the role Editor (Admin for data sources)."""


class GrafanaPublisher:
    """Puts things into Grafana; every method may be repeated and then changes nothing."""

    def __init__(self, address: Address) -> None:
        url = urlsplit(address.url)
        if url.scheme not in {"http", "https"} or not url.hostname or not address.token:
            raise GrafanaError(f"{address.url!r} is not http(s)://host, or there is no token")
        path = url.path.strip("/")
        self._api = GrafanaFace(
            address.token,
            host=f"[{url.hostname}]" if ":" in url.hostname else url.hostname,
            port=url.port,
            url_path_prefix=f"{path}/" if path else "",
            protocol=url.scheme,
            timeout=TIMEOUT_S,
        ).api
        self._url = address.url

    def version(self) -> str:
        """Return the version of a Grafana that is well."""
        health = self._call("GET", "/health")
        if health.get("database") != "ok":
            raise GrafanaError(f"{self._url}: its database is {health.get('database')!r}")
        return str(health.get("version", "unknown"))

    def data_source(self, prometheus_url: str) -> None:
        """Create or update our Prometheus data source; exemplars lead to the event display."""
        wanted: Json = {
            "uid": SOURCE,
            "name": "calodqm",
            "type": "prometheus",
            "access": "proxy",
            "url": prometheus_url,
            "jsonData": source_settings(),
        }
        path = f"/datasources/uid/{SOURCE}"
        try:
            found = self._call("GET", path)
        except _NotFoundError:
            self._call("POST", "/datasources", wanted)
            return
        # What people have set beside ours stays; the version makes a change in between a 409.
        kept = {key: found[key] for key in ("isDefault", "basicAuth", "version") if key in found}
        extra = {"jsonData": {**found.get("jsonData", {}), **source_settings()}}
        self._call("PUT", path, wanted | kept | extra)

    def folder(self) -> None:
        """Create our folder if it is not there."""
        try:
            self._call("GET", f"/folders/{FOLDER}")
        except _NotFoundError:
            self._call("POST", "/folders", {"uid": FOLDER, "title": "Calorimeter data quality"})

    def dashboard(self, board: Json, message: str) -> str:
        """Create or replace a dashboard in our folder; return its path in Grafana."""
        saved = self._call(
            "POST",
            "/dashboards/db",
            {
                "dashboard": board | {"id": None},
                "folderUid": FOLDER,
                "overwrite": True,
                "message": message,
            },
        )
        return str(saved.get("url", ""))

    def alarm(self, alarm: Alarm) -> None:
        """Create or update the annotation of an alarm: from onset to when it cleared."""
        tags = [
            "calodqm",
            "alarm",
            f"alarm:{alarm.id}",
            f"place:{alarm.place}",
            str(alarm.severity),
        ]
        over = alarm.state is State.CLEARED
        note: Json = {"text": f"{alarm.summary}\n{alarm.text}", "tags": tags}
        # The newest version decides whether it is over; an annotation cannot be opened again.
        end = {"timeEnd": alarm.now_ns // 10**6} if over else {}
        self._annotate(f"alarm:{alarm.id}", alarm.onset_ns // 10**6, note | end)

    def acknowledgement(self, act: Acknowledgement) -> None:
        """Create the annotation of an act of the crew."""
        what = "taken back" if act.lifted else "in hand"
        tag = f"ack:{act.alarm}:{act.time_ns}"
        note = {
            "text": f"{act.alarm} {what}: {act.cause} ({act.who})",
            "tags": ["calodqm", "acknowledgement", tag],
        }
        self._annotate(tag, act.time_ns // 10**6, note)

    def _annotate(self, tag: str, time_ms: int, note: Json) -> None:
        query = urlencode([("tags", "calodqm"), ("tags", tag), ("limit", 10)])
        found = self._call("GET", f"/annotations?{query}")
        if not isinstance(found, list):
            raise GrafanaError(f"{self._url}: annotations are not a list")
        # A Grafana that ignored the filter must not make us change somebody else's annotation.
        mine = [entry for entry in found if tag in entry.get("tags", [])]
        if mine:
            self._call("PATCH", f"/annotations/{int(mine[0]['id'])}", note)
        else:
            where = {"dashboardUID": SHIFT, "time": time_ms}
            self._call("POST", "/annotations", where | note)

    def _call(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        try:
            return getattr(self._api, verb)(path, json=body)
        except GrafanaException as error:
            kind = _NotFoundError if error.status_code == 404 else GrafanaError
            said = " ".join(str(error).split())[:200]
            raise kind(f"{self._url}: {verb} /api{path}: {said}") from None
        except (TypeError, ValueError):
            # grafana_api trips over a proxy's page instead of JSON.
            raise GrafanaError(f"{self._url}: {verb} /api{path}: the answer is no JSON") from None
        except requests.RequestException as error:
            raise GrafanaError(f"{self._url}: {_reason(error)}") from None


def source_settings() -> Json:
    """Return what our data source needs to know."""
    return {
        "httpMethod": "POST",
        "timeInterval": "5s",
        "exemplarTraceIdDestinations": [
            {
                "name": "record",
                "url": "/d/calodqm-events?var-record=${__value.raw}",
                "urlDisplayLabel": "Draw this shower",
            }
        ],
    }


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT_S:g} s"
    if isinstance(error, requests.ConnectionError):
        return "nobody answers there"
    return type(error).__name__
