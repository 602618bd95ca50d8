"""The compose file's services, started as it says: command, environment, an unprivileged user
without a home, PID 1, nothing to write on but /tmp. Broker: Apache Kafka with the file's own
variables where KAFKA_HOME names one, the embedded one elsewhere.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
import requests
import yaml
from deployed import DEPLOY

from consumers.app import children
from consumers.app.embedded import EmbeddedBroker, free_port

ROOT = DEPLOY.parent
SERVICES = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
USER = "65532"
CAN = os.geteuid() == 0 and shutil.which("unshare") and shutil.which("setpriv")

pytestmark = [
    pytest.mark.timed,
    pytest.mark.skipif(not CAN, reason="only root can shut a process in as a container does"),
]

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
SHUT_IN = """
set -e
mount --make-rprivate /
mount --rbind "$1" /mnt
mount --rbind "$2" /srv
mount --rbind "$3" /opt
mount -t tmpfs tmpfs /tmp
for folder in / /mnt /srv /opt; do mount -o remount,bind,ro "$folder"; done
cd /mnt
shift 3
exec setpriv --reuid USER --regid USER --clear-groups --no-new-privs --inh-caps=-all \
    --bounding-set=-all env -i "$@"
""".replace("USER", USER)


def environment_of_the_image():
    text = (DEPLOY / "Containerfile").read_text()
    assert f"USER {USER}:{USER}" in text
    (line,) = re.findall(r"^ENV (.+)$", text, re.MULTILINE)
    packages = {"PYTHONPATH": f"/srv/lib/{PYTHON}/site-packages", "LD_LIBRARY_PATH": "/opt/lib"}
    return dict(pair.split("=", 1) for pair in line.split()) | {"PATH": "/usr/bin:/bin"} | packages


def started(name, broker, port=None, words=()):
    """Start a service of the compose file as its container would; return its process."""
    service = SERVICES[name]
    said = environment_of_the_image() | service["environment"]
    said |= {"CALODQM_BOOTSTRAP": broker}  # by the name `kafka` it is found among containers only
    said |= {"CALODQM_HTTP_PORT": str(port)} if port else {}  # one network here, one each there
    return subprocess.Popen(
        [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            SHUT_IN,
        ]
        + ["sh", str(ROOT), sys.prefix, sys.base_prefix]
        + [f"{key}={value}" for key, value in said.items()]
        + [f"/opt/bin/{PYTHON}", "-m", "consumers", *service["command"], *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def first_process(process):
    """Return the process that is PID 1 inside."""
    (inside,) = psutil.Process(process.pid).children()
    return inside


@contextmanager
def broker_of_the_file(folder):
    """Apache Kafka with the variables of the compose file, as its image turns them into settings."""
    ports = {str(inner): str(free_port()) for inner in (9092, 9093, 9094)}
    settings = {}
    for name, value in SERVICES["kafka"]["environment"].items():
        key = name.removeprefix("KAFKA_").lower().replace("_", ".")
        here = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value).replace("kafka:", "127.0.0.1:")
        settings[key] = re.sub(r"(?<=:)(9092|9093|9094)\b", lambda m: ports[m[1]], here)
    settings["log.dirs"] = str(folder / "data")
    properties = folder / "server.properties"
    properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    programs = Path(os.environ["KAFKA_HOME"]) / "bin"
    form = [
        programs / "kafka-storage.sh",
        "format",
        "-t",
        "AAAAAAAAAAAAAAAAAAAAAQ",
        "-c",
        properties,
    ]
    subprocess.run(form, check=True, capture_output=True)
    with (folder / "broker.log").open("wb") as output:
        server = children.start(
            [str(programs / "kafka-server-start.sh"), str(properties)], output=output
        )
    try:
        yield f"127.0.0.1:{ports['9092']}", f"127.0.0.1:{ports['9094']}"
    finally:
        children.stop(server)


@pytest.fixture
def brokers(tmp_path):
    """The addresses of a broker: for services, and for a DAQ outside."""
    with ExitStack() as stack:
        if os.environ.get("KAFKA_HOME"):
            yield stack.enter_context(broker_of_the_file(tmp_path))
            assert list((tmp_path / "data").glob("calo.showers.v1-*"))
        else:
            address = stack.enter_context(EmbeddedBroker()).bootstrap
            yield address, address


def until(what, seconds, process):
    """Wait until `what()` is true; the words of a process that ended meanwhile are the failure."""
    deadline = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def answers(port, path):
    try:
        return requests.get(f"http://127.0.0.1:{port}{path}", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def judged(port):
    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    found = re.search(
        r"^calodqm_showers_judged_total(?:\{[^}]*\})? ([\d.e+]+)$", text, re.MULTILINE
    )
    return float(found[1]) if found else 0.0


def test_the_services_of_the_compose_file_run_as_it_starts_them(brokers):
    inside, outside = brokers
    ports = {"score": free_port(), "judge": free_port()}
    running = {name: started(name, inside, port) for name, port in ports.items()}
    try:
        for name, port in ports.items():
            until(lambda port=port: answers(port, "/readyz"), 90, running[name])
            me = first_process(running[name])
            assert set(me.uids()) == {int(USER)}
            assert "HOME" not in me.environ()
            check = [
                w.replace("9108", str(port)) for w in SERVICES[name]["healthcheck"]["test"][1:]
            ]
            assert subprocess.run([sys.executable, *check[1:]], check=False).returncode == 0
        running["showers"] = started("showers", outside)
        until(lambda: judged(ports["judge"]) > 3000, 60, running["showers"])
        for name, process in reversed(running.items()):
            began = time.monotonic()
            first_process(process).terminate()  # as PID 1: what is not asked for is not heard
            assert process.wait(20) == 0, process.stdout.read()
            assert time.monotonic() - began < 10, name
    finally:
        for process in running.values():
            process.kill()
            process.stdout.close()
            process.wait()
