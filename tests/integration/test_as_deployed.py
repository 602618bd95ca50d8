"""The compose file's services, started as it says: command, environment, an unprivileged user
without a home, PID 1, nothing to write on but /tmp. Broker: Apache Kafka with the file's own
variables where KAFKA_HOME names one, the embedded one elsewhere.
"""

import os
import re
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml
from deployed import DEPLOY
from shut_in import CAN, USER, answers, ended, first_process, judged, started, swept, until

from consumers.app import children
from consumers.app.embedded import EmbeddedBroker, free_port

SERVICES = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]

pytestmark = [
    pytest.mark.timed,
    pytest.mark.skipif(not CAN, reason="only root can shut a process in as a container does"),
]


def served(name, broker, port=None):
    """Start a service of the compose file."""
    service = SERVICES[name]
    said = service["environment"] | {
        "CALODQM_BOOTSTRAP": broker
    }  # `kafka` is found among containers only
    said |= {"CALODQM_HTTP_PORT": str(port)} if port else {}  # one network here, one each there
    return started(service["command"], said)


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


def test_the_services_of_the_compose_file_run_as_it_starts_them(brokers):
    inside, outside = brokers
    ports = {"score": free_port(), "judge": free_port()}
    running = {name: served(name, inside, port) for name, port in ports.items()}
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
        running["showers"] = served("showers", outside)
        until(lambda: judged(ports["judge"]) > 3000, 60, running["showers"])
        for name, process in reversed(running.items()):
            ended(name, process)
    finally:
        swept(running.values())
