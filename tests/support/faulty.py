"""A whole service with faults going on, and Prometheus beside it: for looking at dashboards."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import stack
from deployed import DEPLOY
from services import ROOT, Services
from waiting import wait_until

from consumers.app.embedded import EmbeddedBroker, free_port

HOT_S, GAIN_S, END_S = 110, 210, 330
"""Data-seconds from the start of the stream to a hot cell in B2, to a gain in C3, and to the end."""

SCALE = 3
"""A minute of the rules is 20 s: long enough for calm curves."""


@dataclass
class Faulty:
    """Where the parts of the service are."""

    prometheus: str
    page: str
    began: float
    """Wall clock of the first shower, s since 1970 UTC."""

    bootstrap: str

    def state(self):
        return json.loads(stack.get(f"{self.page}/api/state"))["now"] or {}

    def alarm_at(self, place):
        """Return the open alarm of a place, if there is one."""
        return next((a for a in self.state().get("alarms", ()) if a["place"] == place), None)


@contextlib.contextmanager
def faulty_service(folder):
    """Start everything, inject two faults, have one acknowledged, and yield while both are on."""
    with EmbeddedBroker() as broker, contextlib.ExitStack() as ends:
        services = Services(broker.bootstrap, folder, broker=broker)
        ends.callback(services.end)
        port, other = free_port(), free_port()
        services.environment["CALODQM_HTTP_PORT"] = str(port)
        services.start("run", "run")
        page = f"http://127.0.0.1:{port}"
        wait_until(lambda: stack.get(f"{page}/readyz"), 120)
        services.environment["CALODQM_HTTP_PORT"] = str(other)
        services.start("score", "score")
        targets = [f"127.0.0.1:{port}", f"127.0.0.1:{other}"]
        scraper, url = stack.prometheus(folder, targets, scale=SCALE)
        ends.callback(scraper.stop)
        services.simulate(
            "--rate", "800",
            "--fault", f"hot:region=B2,cells=358,x=50,share=1@{HOT_S}+3600",
            "--fault", f"gain:region=C3,x=0.05@{GAIN_S}+3600",
        )  # fmt: skip
        made = Faulty(url, page, time.time(), broker.bootstrap)
        alarm = wait_until(lambda: made.alarm_at("B2"), HOT_S + 60)
        time.sleep(max(0.0, made.began + GAIN_S + 20 - time.time()))
        acknowledge(made, alarm["id"])
        time.sleep(max(0.0, made.began + END_S - time.time()))
        yield made


def acknowledge(service, alarm):
    """Have somebody take an alarm in hand."""
    subprocess.run(
        [sys.executable, "-m", "consumers", "ack", alarm, "--bootstrap", service.bootstrap,
         "--cause", "middle[5,6] of B2 noisy since the last access", "--who", "Ada"],
        cwd=ROOT, check=True, capture_output=True, timeout=60,
    )  # fmt: skip


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def grafana_files():
    """Serve deploy/grafana over HTTP, where a browser may fetch it."""
    handler = partial(_Quiet, directory=str(DEPLOY / "grafana"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()
