"""What an operator deploys: valid by its own schemas, and every command and setting in it is ours."""

import json
import os
import re
import subprocess
import sys

import pytest
from deployed import DEPLOY, alerts, loaded
from manifests import objects, of_kind

from consumers.app import environment
from consumers.cli import command
from consumers.cli.commands.grafana import TOKEN
from consumers.http.health import Health
from consumers.http.server import Server
from monitor.display import grafana
from monitor.display.metrics.exposition import Exposition

COMPOSE = loaded((DEPLOY / "compose.yaml").read_text())
ROOT = DEPLOY.parent


def ours():
    """Return the services of the compose file that run calodqm."""
    return {n: s for n, s in COMPOSE["services"].items() if "/calodqm:" in s["image"]}


def run(*arguments):
    return subprocess.run(
        arguments, capture_output=True, text=True, timeout=60, check=False, cwd=DEPLOY
    )


@pytest.mark.slow
def test_the_compose_file_is_one_by_the_compose_specification():
    checked = run(
        sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec",
        "compose.yaml",
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", ours())
def test_every_service_runs_a_command_that_there_is(name):
    command.parser(ours()[name]["command"]).parse_args(ours()[name]["command"])


def environments():
    for name, service in ours().items():
        others = {TOKEN} if service["command"][0] == "grafana" else set()
        said = {n: v for n, v in service["environment"].items() if n not in others}
        yield f"compose {name}", said
    config = of_kind("ConfigMap")["calodqm"]["data"] | of_kind("Secret")["calodqm"]["stringData"]
    yield "kubernetes", config
    patch = [o for o in objects() if o["kind"] == "StatefulSet"]
    for o in patch:
        for container in o["spec"]["template"]["spec"]["containers"]:
            literal = {e["name"]: e["value"] for e in container.get("env", []) if "value" in e}
            named = {e["name"]: "x" for e in container.get("env", []) if "value" not in e}
            yield "kubernetes pod", literal | named


@pytest.mark.parametrize(("where", "variables"), list(environments()))
def test_every_setting_is_one_that_is_read_and_has_a_value_that_can_be(
    where, variables, monkeypatch
):
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    made = environment.load({})
    for name in variables:
        assert getattr(made, name.removeprefix("CALODQM_").lower()) is not None


@pytest.mark.slow
def test_secured_settings_reach_the_connection(monkeypatch):
    config = of_kind("ConfigMap")["calodqm"]["data"] | of_kind("Secret")["calodqm"]["stringData"]
    for name, value in config.items():
        monkeypatch.setenv(name, value)
    security = environment.load({}).connection().security
    assert security["security_protocol"] == "SASL_SSL"
    assert security["sasl_plain_password"] == "change-me"  # noqa: S105
    assert security["ssl_cafile"] == "/etc/calodqm/ca/ca.crt"


def test_every_file_that_is_mounted_is_there():
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source
            else:
                assert source in COMPOSE["volumes"]


def test_the_container_copies_what_is_there_and_starts_the_program():
    text = (DEPLOY / "Containerfile").read_text()
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for name in source.split():
            assert (ROOT / name).exists(), name
    assert 'ENTRYPOINT ["calodqm"]' in text
    assert json.loads(re.search(r"^CMD (.+)$", text, re.MULTILINE)[1])[0] in command.COMMANDS


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus.compose.yml"])
def test_prometheus_accepts_its_configuration(name):
    checked = run("promtool", "check", "config", f"prometheus/{name}")
    assert checked.returncode == 0, checked.stderr


def test_both_prometheus_configurations_agree_but_for_addresses():
    one, other = (
        loaded((DEPLOY / "prometheus" / name).read_text())
        for name in ("prometheus.yml", "prometheus.compose.yml")
    )
    for key in ("global", "rule_files"):
        assert one[key] == other[key]
    assert one["alerting"]["alert_relabel_configs"] == other["alerting"]["alert_relabel_configs"]
    limits = [
        {k: c["scrape_configs"][0][k] for k in ("job_name", "sample_limit")} for c in (one, other)
    ]
    assert limits[0] == limits[1]


def test_alertmanager_accepts_its_configuration():
    checked = run("amtool", "check-config", "alertmanager/alertmanager.yml")
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("alertname=CaloWatchdog severity=none", "deadman"),
        ("alertname=CaloAlarmPage severity=page", "phone,chat"),
        ("alertname=CaloAlarmWarning severity=warning", "chat"),
        ("alertname=CaloAlarmInHand severity=held", "chat"),
        ("alertname=CaloSectorExplained severity=none", "nobody"),
        ("alertname=CaloAnomalyFlood severity=page", "phone,chat"),
        ("alertname=CaloBudgetSpent severity=ticket", "expert"),
        ("alertname=SomethingElse", "chat"),
    ],
)
def test_alerts_take_the_right_route(labels, receivers):
    routed = run(
        "amtool", "config", "routes", "test", "--config.file=alertmanager/alertmanager.yml",
        *labels.split(),
    )  # fmt: skip
    assert routed.stdout.strip() == receivers


def test_inhibition_names_alerts_that_there_are():
    config = loaded((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    for rule in config["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            name, pattern = re.match(r'(\w+)!?=~?"(.+)"', matcher).groups()
            if name == "alertname":
                assert any(re.fullmatch(pattern, alert) for alert in alerts()), matcher


def test_grafana_is_provisioned_as_it_is_pushed():
    folder = DEPLOY / "grafana" / "provisioning"
    sources = loaded((folder / "datasources" / "calodqm.yaml").read_text())["datasources"]
    assert sources[0]["uid"] == grafana.SOURCE
    # In a file a dollar is doubled, or Grafana takes it for a variable of its environment.
    text = json.dumps(sources[0]["jsonData"]).replace("$$", "$")
    pushed = grafana.source_settings()
    assert {k: v for k, v in json.loads(text).items() if k in pushed} == pushed
    [provider] = loaded((folder / "dashboards" / "calodqm.yaml").read_text())["providers"]
    assert provider["folderUid"] == grafana.FOLDER
    mounts = COMPOSE["services"]["grafana"]["volumes"]
    assert any(m.endswith(f":{provider['options']['path']}:ro") for m in mounts)


@pytest.mark.parametrize("name", ours())
def test_a_health_check_asks_the_process_itself_and_no_proxy(name):
    check = ours()[name].get("healthcheck", {})
    if check.get("disable"):
        return
    words = check["test"][1:]
    server = Server(Exposition("0"), Health())
    server.start()
    asked = [word.replace("9108", str(server.port)) for word in words]
    proxied = dict.fromkeys(("http_proxy", "HTTP_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, *asked[1:]], env=os.environ | proxied, capture_output=True, check=False
    )
    server.stop()
    assert done.returncode == 0, done.stderr
