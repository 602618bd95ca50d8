"""calodqm grafana: put data source, folder and dashboards into Grafana; annotate alarms there."""

from __future__ import annotations

import json
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from consumers.app import environment, settings
from consumers.app.ending import stop_on_signals
from consumers.app.retry import keep_running
from consumers.exactly_once.quality_log import QualityReader
from consumers.kafka.log import FOLLOWED_MS, KafkaLog
from consumers.wire import topics
from consumers.wire.record import Refused
from consumers.wire.user_error import UserError
from monitor.display import boards
from monitor.display.grafana import Address, GrafanaError, GrafanaPublisher
from monitor.quality.acknowledgements import Acknowledgement
from monitor.quality.alarms import Alarm

if TYPE_CHECKING:
    import argparse

logger = logging.getLogger(__name__)

PAGE = "http://127.0.0.1:9108"
"""What the dashboards carry as the page's address until they are pushed."""

TOKEN = "GRAFANA_TOKEN"  # noqa: S105 - the name of a variable
RETRY_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm grafana`."""
    parser.add_argument("act", choices=("push", "annotate"), help=(
        "push: data source, folder, dashboards; annotate: follow the alarms until stopped"
    ))  # fmt: skip
    parser.add_argument("--url", default="http://127.0.0.1:3000", help="of Grafana")
    parser.add_argument(
        "--prometheus", default="http://127.0.0.1:9090", help="Prometheus, as Grafana reaches it"
    )
    parser.add_argument("--page", default=PAGE, help="the judge's page, as browsers reach it")
    parser.add_argument("--json", action="store_true", help="say what was done as JSON")
    environment.add_arguments(parser, "bootstrap", "prefix")


def run(args: argparse.Namespace) -> int:
    """Do it; the token comes from the environment, where no process list shows it."""
    token = os.environ.get(TOKEN, "")
    if not token:
        raise UserError(f"set {TOKEN} to the token of a Grafana service account")
    try:
        publisher = GrafanaPublisher(Address(args.url, token))
        if args.act == "annotate":
            return _annotate(publisher, environment.from_arguments(args))
        return _push(publisher, args)
    except GrafanaError as error:
        raise UserError(str(error)) from None


def _push(publisher: GrafanaPublisher, args: argparse.Namespace) -> int:
    version = publisher.version()
    publisher.data_source(args.prometheus)
    publisher.folder()
    pushed = {}
    for made in boards.all_dashboards().values():
        board = dashboard(json.dumps(made), args.page)
        pushed[board["title"]] = args.url.rstrip("/") + publisher.dashboard(board, "calodqm")
    if args.json:
        print(json.dumps({"grafana": version, "dashboards": pushed}))
    else:
        print(f"Grafana {version}")
        for title, url in pushed.items():
            print(f"  {title:32} {url}")
    return 0


def dashboard(text: str, page: str) -> dict[str, Any]:
    """Return a dashboard whose links lead to the page's address and to our data source."""
    board: dict[str, Any] = json.loads(text.replace(PAGE, page.rstrip("/")))
    return board


def _annotate(publisher: GrafanaPublisher, given: settings.Settings) -> int:
    """Follow the quality topic in a process of its own: Grafana can never hold an alarm back."""
    stopping = threading.Event()
    stop_on_signals(stopping)

    def follow() -> None:
        log = KafkaLog(given.connection(), held_ms=FOLLOWED_MS)
        reader = QualityReader()
        try:
            for record in log.follow(topics.QUALITY, stopping):
                said = None if record is None else reader.take(record)
                if isinstance(said, Alarm | Acknowledgement):
                    _tell(publisher, said, stopping)
        finally:
            log.close()

    try:
        keep_running(follow, "annotate", stopping)
    except Refused as error:
        raise UserError(f"broker {given.bootstrap} refuses us: {error}") from None
    return 0


def _tell(
    publisher: GrafanaPublisher, said: Alarm | Acknowledgement, stopping: threading.Event
) -> None:
    while not stopping.is_set():
        try:
            if isinstance(said, Alarm):
                publisher.alarm(said)
            else:
                publisher.acknowledgement(said)
        except GrafanaError as error:
            logger.warning("%s; again in %g s", error, RETRY_S)
            stopping.wait(RETRY_S)
        else:
            return
