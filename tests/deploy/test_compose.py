"""The compose file: what is listened on, kept, mounted and said in it fits together."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from deployed import DEPLOY, SITE, loaded

from consumers.app import settings

COMPOSE = loaded((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: s for name, s in SERVICES.items() if "/calodqm:" in s["image"]}
KAFKA = SERVICES["kafka"]["environment"]


def addresses(value):
    """Return host and port by the name of a listener."""
    told = re.findall(r"(\w+)://((?:\$\{[^}]*\}|[^:,$])*):(\d+)", value)
    return {name: (host, int(port)) for name, host, port in told}


def published(service):
    """Return the ports of a container that its host listens on, and at which address."""
    found = {}
    for text in SERVICES[service].get("ports", []):
        address, _, inner = re.fullmatch(r"(.+):(\d+):(\d+)", text).groups()
        found[int(inner)] = address
    return found


def test_what_kafka_keeps_lies_in_its_volume():
    folders = [volume.split(":")[1] for volume in SERVICES["kafka"]["volumes"]]
    assert KAFKA["KAFKA_LOG_DIRS"] in folders


def test_every_listener_of_kafka_has_a_protocol_and_those_for_clients_an_address():
    listens = addresses(KAFKA["KAFKA_LISTENERS"])
    protocols = dict(
        pair.split(":") for pair in KAFKA["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
    )
    assert set(listens) == set(protocols)
    told = addresses(KAFKA["KAFKA_ADVERTISED_LISTENERS"])
    assert set(told) == set(listens) - {KAFKA["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert {name: port for name, (_, port) in told.items()} == {
        name: listens[name][1] for name in told
    }
    assert KAFKA["KAFKA_INTER_BROKER_LISTENER_NAME"] in told


def test_a_daq_outside_reaches_the_port_that_kafka_tells_it_to_come_to():
    told = addresses(KAFKA["KAFKA_ADVERTISED_LISTENERS"])
    outside = {port: host for host, port in told.values() if host not in SERVICES}
    assert outside.keys() == published("kafka").keys()
    (host,) = outside.values()
    assert "127.0.0.1" in host


def test_services_come_to_the_listener_inside():
    host, port = addresses(KAFKA["KAFKA_ADVERTISED_LISTENERS"])["PLAINTEXT"]
    assert {s["environment"]["CALODQM_BOOTSTRAP"] for s in OURS.values()} == {f"{host}:{port}"}


def test_nothing_listens_to_the_network_unless_it_is_told_to():
    for name in SERVICES:
        for address in published(name).values():
            assert address in ("127.0.0.1", "${DAQ_LISTEN:-127.0.0.1}")


def test_topics_have_as_many_partitions_whoever_starts_first():
    assert len({s["environment"]["CALODQM_PARTITIONS"] for s in OURS.values()}) == 1


@pytest.mark.parametrize("name", OURS)
def test_a_detector_and_a_model_of_a_sites_own_can_be_shown_to_every_container(name):
    service = OURS[name]
    assert "./site:/site:ro" in service["volumes"]
    assert service["env_file"] == [{"path": "./site/site.env", "required": False}]
    guide = (DEPLOY / "site" / "README.md").read_text()
    for variable in re.findall(r"^(CALODQM_\w+)=", guide, re.MULTILINE):
        assert variable.removeprefix("CALODQM_").lower() in settings.Settings.model_fields


@pytest.mark.parametrize("name", OURS)
def test_containers_have_no_rights_and_write_nowhere_but_in_their_memory(name):
    service = OURS[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", sorted(set(OURS) - {"showers", "annotate"}))
def test_a_judge_or_worker_is_watched_and_has_the_time_to_leave_in_order(name):
    service = OURS[name]
    assert "/healthz" in " ".join(service["healthcheck"]["test"])
    assert service["stop_grace_period"] == "30s"
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}


def test_prometheus_looks_for_every_service_that_has_metrics():
    config = loaded((DEPLOY / "prometheus" / "prometheus.compose.yml").read_text())
    found = config["scrape_configs"][0]["dns_sd_configs"][0]
    watched = {n for n, s in OURS.items() if not s.get("healthcheck", {}).get("disable")}
    assert set(found["names"]) == watched
    assert found["port"] == settings.Settings.model_fields["http_port"].default
    (target,) = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert host in SERVICES
    assert int(port) in published(host)
    rules = {Path(v.split(":")[1]).name for v in SERVICES["prometheus"]["volumes"]}
    assert set(config["rule_files"]) <= rules


def test_alertmanager_sends_to_the_machine_and_not_to_its_own_container(tmp_path):
    service = SERVICES["alertmanager"]
    assert service["entrypoint"] == ["/bin/sh", "-ec"]
    (script,) = service["command"]
    assert "host.docker.internal:host-gateway" in service["extra_hosts"]
    # The first, lest a folder of ours that is under /tmp is changed as well.
    script = script.replace("/tmp", str(tmp_path)).replace("exec /bin/alertmanager", "exec echo")  # noqa: S108
    script = script.replace("$$", "$").replace("/etc/alertmanager", str(DEPLOY / "alertmanager"))
    done = subprocess.run(
        [*service["entrypoint"], script], capture_output=True, text=True, check=True
    )
    assert f"--config.file={tmp_path}/alertmanager.yml" in done.stdout
    made = (tmp_path / "alertmanager.yml").read_text()
    sent = [line for line in made.splitlines() if not line.lstrip().startswith("#")]
    assert not [line for line in sent if "127.0.0.1" in line]
    assert made.count("host.docker.internal") >= 3
    checked = subprocess.run(
        ["amtool", "check-config", "alertmanager.yml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    # A template that is not there is no mistake for amtool: messages would say nothing.
    assert all(list(tmp_path.glob(name)) for name in loaded(made)["templates"])


def test_grafana_has_no_password_that_everybody_knows():
    said = SERVICES["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"]
    assert said.startswith("${GRAFANA_PASSWORD:?")


def test_grafanas_addresses_are_of_services_that_there_are():
    environment = SERVICES["grafana"]["environment"]
    folder = DEPLOY / "grafana" / "provisioning" / "datasources"
    wanted = set(re.findall(r"\$\{?(CALODQM_\w+)", (folder / "calodqm.yaml").read_text()))
    assert wanted == {name for name in environment if name.startswith("CALODQM_")}
    for name in wanted:
        host, port = re.fullmatch(r"http://([\w-]+):(\d+)", environment[name]).groups()
        assert host in SERVICES
        assert int(port) in published(host)
    home = Path(environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    mounts = dict(v.split(":")[:2] for v in SERVICES["grafana"]["volumes"])
    (source,) = [s for s, target in mounts.items() if target == str(home.parent)]
    assert (DEPLOY / source / home.name).exists()


def test_every_volume_is_used_and_every_variable_has_a_default_or_says_what_is_wanted():
    text = (DEPLOY / "compose.yaml").read_text()
    for name in COMPOSE["volumes"]:
        assert re.search(rf"\W{name}:/", text), name
    used = set(re.findall(r"\$\{(\w+)(:[-?])", text))
    assert {how for _, how in used} <= {":-", ":?"}
    assert re.findall(r"\$\{\w+\}", text) == []


RENDERER = Path(__file__).parents[1] / "compat" / "bin" / "manifests" / "compose"


@pytest.mark.skipif(not RENDERER.exists(), reason="`make renderers` (needs Go) was not run")
def test_the_compose_library_resolves_it_to_what_is_meant():
    done = subprocess.run(
        [RENDERER, "compose.yaml"],
        cwd=DEPLOY,
        env=os.environ | {"GRAFANA_PASSWORD": "x", "DAQ_HOST": "pc7", "COMPOSE_PROFILES": "*"},
        capture_output=True,
        text=True,
        check=True,
    )
    made = loaded(done.stdout)["services"]
    assert "DAQ://pc7:9094" in made["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert made["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"] == "x"  # noqa: S105
    for name in OURS:
        assert made[name]["environment"]["CALODQM_BOOTSTRAP"] == "kafka:9092"
        assert made[name]["depends_on"]["kafka"]["condition"] == "service_healthy"
    without = subprocess.run(
        [RENDERER, "compose.yaml"], cwd=DEPLOY, env={"PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert without.returncode != 0
    assert "choose a password" in without.stdout + without.stderr


@pytest.mark.parametrize("name", ["judge", "judge-standby"])
def test_a_page_is_published_from_the_port_that_it_is_on(name):
    (port,) = SERVICES[name]["ports"]
    assert port.rsplit(":", 1)[-1] == "9108"


def test_what_is_scraped_is_of_the_detector_that_the_rules_expect():
    config = loaded((DEPLOY / "prometheus" / "prometheus.compose.yml").read_text())
    labels = {
        rule.get("replacement")
        for job in config["scrape_configs"]
        for rule in job.get("relabel_configs", [])
        if rule.get("target_label") == "detector"
    }
    assert labels == set(SITE.detectors)
