"""Prometheus and Alertmanager, real ones, on free loopback ports; what they say is kept to look at."""

import asyncio
import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests
import yaml
from aiosmtpd.controller import Controller
from deployed import DEPLOY, Site, generate
from waiting import wait_until

from consumers.app.embedded import free_port

SCALE = 12


def get(url, accept="application/json"):
    reply = requests.get(url, headers={"Accept": accept}, timeout=5)
    reply.raise_for_status()
    return reply.text


class Receiver:
    """Takes webhooks and mail, and keeps them with the time at which they came."""

    def __init__(self):
        self.posts, self.mails = [], []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.posts.append((time.monotonic(), self.path, body))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self._smtp = Controller(self, hostname="127.0.0.1", port=free_port())
        self.smtp_port = self._smtp.port
        self._smtp.start()

    async def handle_DATA(  # noqa: N802  the name that aiosmtpd calls
        self,
        _server,
        _session,
        envelope,
    ):
        self.mails.append((time.monotonic(), envelope.content.decode()))
        await asyncio.sleep(0)
        return "250 taken"

    def on(self, path):
        return [(when, body) for when, where, body in list(self.posts) if where == path]

    def stop(self):
        self._smtp.stop()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Process:
    """A program with its output in a file, ended for certain."""

    def __init__(self, arguments, folder):
        self._log = (folder / f"{arguments[0]}.log").open("wb")
        self._process = subprocess.Popen(arguments, stdout=self._log, stderr=self._log, cwd=folder)

    def ready(self, condition):
        """Wait until it does what it is there for; one that does not is ended."""
        try:
            wait_until(condition)
        except AssertionError:
            self.stop()
            raise

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def alertmanager(folder, receiver, *, quick=True):
    """Start the Alertmanager of deploy/, with its receivers on loopback and short waits."""
    config = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    config["global"]["smtp_smarthost"] = f"127.0.0.1:{receiver.smtp_port}"
    config["templates"] = [str(DEPLOY / "alertmanager" / "calodqm.tmpl")]
    for entry in config["receivers"]:
        for hook in entry.get("webhook_configs", []):
            hook["url"] = hook["url"].replace(":9200", f":{receiver.port}")
        for slack in entry.get("slack_configs", []):
            slack["api_url"] = slack["api_url"].replace(":9200", f":{receiver.port}")
    if quick:
        for route in (config["route"], *config["route"]["routes"]):
            if "group_wait" in route:
                # Alertmanager gives a receiver one group_interval to answer and then sends again:
                # on a busy machine a shorter one would count messages twice.
                route.update(group_wait="3s", group_interval="6s")
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = Process(
        [
            "prometheus-alertmanager",
            "--config.file=alertmanager.yml",
            f"--storage.path={folder}/am",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--web.external-url={url}/",
            "--cluster.listen-address=",
        ],
        folder,
    )
    process.ready(lambda: get(f"{url}/-/ready"))
    return process, url


def prometheus(folder, targets, alertmanager_url=None, scale=SCALE):
    """Start the Prometheus of deploy/ at a fast scale, scraping `targets` every second."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] |= {
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "evaluation_interval": "1s",
        "external_labels": {"page_url": "http://page", "grafana_url": "http://grafana"},
    }
    (folder / "calodqm.rules.yml").write_text(generate.rule_file(Site(), scale))
    (folder / "targets.json").write_text(
        json.dumps([{"targets": targets, "labels": {"detector": "calo"}}])
    )
    config["scrape_configs"] = config["scrape_configs"][:1]
    managers = [] if alertmanager_url is None else [alertmanager_url.removeprefix("http://")]
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": managers}]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = Process(
        [
            "prometheus",
            "--config.file=prometheus.yml",
            f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--web.external-url={url}/",
            "--enable-feature=exemplar-storage",
            # An alert that comes before Alertmanager is found is dropped and sent again after this.
            "--rules.alert.resend-delay=1s",
        ],
        folder,
    )
    process.ready(lambda: get(f"{url}/-/ready"))
    if managers:
        process.ready(
            lambda: (
                "activeAlertmanagers" in (t := get(f"{url}/api/v1/alertmanagers"))
                and managers[0] in t
            )
        )
    return process, url


def ask(url, expression):
    """Return the instant vector of an expression: labels and value."""
    text = requests.get(f"{url}/api/v1/query", {"query": expression}, timeout=5).text
    return [(s["metric"], float(s["value"][1])) for s in json.loads(text)["data"]["result"]]
