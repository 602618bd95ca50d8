"""The manifests together: what one names, another makes; what is asked of a pod, it can do."""

import os
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from deployed import DEPLOY, VERSIONS, all_loaded, loaded

from consumers.app import settings
from consumers.cli import command
from consumers.cli.commands.grafana import TOKEN

FOLDER = DEPLOY / "kubernetes"
OBJECTS = [
    o
    for path in sorted(FOLDER.glob("*.yaml"))
    if path.name != "gpu.yaml"  # a patch, tried below
    for o in all_loaded(path.read_text())
]
WORKLOADS = {
    o["metadata"]["name"]: o for o in OBJECTS if o["kind"] in ("Deployment", "StatefulSet")
}
PORT = settings.Settings.model_fields["http_port"].default
BY_HAND = {"calodqm-grafana"}
"""Secrets that a page says how to make, since they hold what only a site has."""


def of_kind(kind):
    return {o["metadata"]["name"]: o for o in OBJECTS if o["kind"] == kind}


def pod(name):
    return WORKLOADS[name]["spec"]["template"]["spec"]


def container(name):
    (only,) = pod(name)["containers"]
    return only


def test_all_pods_run_one_image_and_it_is_the_one_that_the_kustomization_renames():
    (images,) = {container(name)["image"] for name in WORKLOADS}
    repository, tag = images.rsplit(":", 1)
    (kustomization,) = [o for o in OBJECTS if o["kind"] == "Kustomization"]
    assert kustomization["images"] == [{"name": repository, "newTag": tag}]
    assert tag == VERSIONS["calodqm"]["deployed"]


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_runs_a_command_that_there_is_with_every_word_of_it(name):
    words = container(name)["args"]
    command.parser(words).parse_args(words)


@pytest.mark.parametrize("name", WORKLOADS)
def test_what_a_pod_takes_from_elsewhere_is_made_there(name):
    maps, secrets = set(of_kind("ConfigMap")), set(of_kind("Secret")) | BY_HAND
    for source in container(name)["envFrom"]:
        ((kind, reference),) = source.items()
        assert reference["name"] in (maps if kind == "configMapRef" else secrets)
    for volume in pod(name)["volumes"]:
        if "secret" in volume:
            assert volume["secret"]["secretName"] in secrets
        if "configMap" in volume:
            assert volume["configMap"]["name"] in maps or volume["configMap"]["optional"]
    for secret in of_kind("Secret").values():
        assert "change" in str(secret["stringData"]).lower() or "calodqm" in str(secret)


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_volume_is_mounted_once_and_every_mount_is_of_a_volume(name):
    volumes = [volume["name"] for volume in pod(name)["volumes"]]
    mounts = container(name)["volumeMounts"]
    assert sorted(volumes) == sorted(mount["name"] for mount in mounts)
    paths = sorted(mount["mountPath"] for mount in mounts)
    assert not any(later.startswith(f"{first}/") for first, later in pairwise(paths))
    for mount in mounts:
        assert mount.get("readOnly", False) is (mount["name"] != "tmp")


def test_files_that_settings_name_are_where_they_are_mounted():
    data = of_kind("ConfigMap")["calodqm"]["data"]
    mounts = {m["name"]: m["mountPath"] for m in container("judge")["volumeMounts"]}
    file = Path(data["CALODQM_SSL_CAFILE"])
    assert str(file.parent) == mounts["ca"]
    assert file.name in of_kind("Secret")["calodqm-ca"]["stringData"]


@pytest.mark.parametrize("name", ["judge", "score"])
def test_a_broker_that_is_slow_to_start_gets_no_pod_killed(name):
    begin = container(name)["startupProbe"]
    assert begin["httpGet"] == {"path": "/healthz", "port": "http"}
    assert begin["periodSeconds"] * begin["failureThreshold"] >= 120
    live = container(name)["livenessProbe"]
    assert live["periodSeconds"] * live["failureThreshold"] >= 30
    assert pod(name)["terminationGracePeriodSeconds"] >= 30


def test_each_pod_has_a_name_of_its_own_and_a_worker_that_restarts_keeps_its_partitions():
    for name in ("judge", "score"):
        fields = {
            e["name"]: e["valueFrom"]["fieldRef"]["fieldPath"] for e in container(name)["env"]
        }
        assert fields["CALODQM_NAME"] == "metadata.name"
        # A judge of a Deployment gets another name each time: a fixed member would wait for it.
        assert ("CALODQM_INSTANCE" in fields) is (WORKLOADS[name]["kind"] == "StatefulSet")


def test_a_cluster_reaches_what_it_must_and_nothing_else():
    policy = of_kind("NetworkPolicy")["calodqm"]["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert [rule["ports"] for rule in policy["ingress"]] == [[{"protocol": "TCP", "port": PORT}]]
    bootstrap = of_kind("ConfigMap")["calodqm"]["data"]["CALODQM_BOOTSTRAP"]
    host, port = bootstrap.split(":")
    spaces = {
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]: rule["ports"]
        for rule in policy["egress"]
        for peer in rule["to"]
    }
    assert spaces[host.split(".")[1]] == [{"protocol": "TCP", "port": int(port)}]
    assert {p["port"] for p in spaces["kube-system"]} == {53}
    assert set(spaces) == {host.split(".")[1], "kube-system"}


def test_alarms_reach_grafana_from_the_pod_that_marks_them():
    words = container("annotate")["args"]
    host, port = words[words.index("--url") + 1].removeprefix("http://").split(":")
    policy = of_kind("NetworkPolicy")["annotate"]["spec"]
    labels = WORKLOADS["annotate"]["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"] == labels
    (rule,) = policy["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": int(port)}]
    (peer,) = rule["to"]
    space = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    assert space == host.split(".")[1]
    assert TOKEN in (FOLDER / "annotate.yaml").read_text()


def test_who_scales_on_lag_asks_the_broker_that_the_workers_ask_with_the_same_secrets():
    scaled, auth = of_kind("ScaledObject")["score"]["spec"], of_kind("TriggerAuthentication")
    trigger = scaled["triggers"][0]["metadata"]
    data = of_kind("ConfigMap")["calodqm"]["data"]
    assert trigger["bootstrapServers"] == data["CALODQM_BOOTSTRAP"]
    assert trigger["sasl"].replace("_", "-") == data["CALODQM_SASL_MECHANISM"].lower().replace(
        "scram-sha-", "scram-sha"
    )
    target = scaled["scaleTargetRef"]
    assert WORKLOADS[target["name"]]["kind"] == target["kind"]
    (used,) = auth.values()
    assert scaled["triggers"][0]["authenticationRef"]["name"] == used["metadata"]["name"]
    for reference in used["spec"]["secretTargetRef"]:
        assert reference["key"] in of_kind("Secret")[reference["name"]]["stringData"]


def test_scraping_finds_the_pods_and_gives_the_labels_that_the_rules_ask_for():
    monitor = of_kind("PodMonitor")["calodqm"]["spec"]
    for name in ("judge", "score"):
        labels = WORKLOADS[name]["spec"]["template"]["metadata"]["labels"]
        assert monitor["selector"]["matchLabels"].items() <= labels.items()
        assert labels[monitor["jobLabel"]] == "calodqm"
        assert monitor["podMetricsEndpoints"][0]["port"] in {
            port["name"] for port in container(name)["ports"]
        }
    plain = loaded((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    scrape = plain["scrape_configs"][0]
    assert monitor["sampleLimit"] == scrape["sample_limit"]
    assert monitor["podMetricsEndpoints"][0]["interval"] == plain["global"]["scrape_interval"]


def test_only_one_judge_at_a_time_goes_when_nodes_are_drained():
    assert WORKLOADS["judge"]["spec"]["replicas"] == 2
    budget = of_kind("PodDisruptionBudget")
    assert budget["judge"]["spec"]["minAvailable"] == 1
    assert budget["score"]["spec"]["maxUnavailable"] == 1
    rolling = WORKLOADS["judge"]["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxUnavailable": 1, "maxSurge": 0}  # both may not be on one node


KUSTOMIZE = Path(__file__).parents[1] / "compat" / "bin" / "manifests" / "kustomize"
needs_kustomize = pytest.mark.skipif(
    not KUSTOMIZE.exists(), reason="`make renderers` (needs Go) was not run"
)


def rendered(folder):
    done = subprocess.run(
        [KUSTOMIZE, "build", folder], capture_output=True, text=True, check=False,
        env=os.environ, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list(all_loaded(done.stdout))


@needs_kustomize
def test_the_kustomization_puts_all_in_one_namespace_with_one_image():
    made = rendered(FOLDER)
    (kustomization,) = [o for o in OBJECTS if o["kind"] == "Kustomization"]
    space = kustomization["namespace"]
    assert {o["metadata"].get("namespace", space) for o in made} == {space}
    assert {o["kind"] for o in made} >= {"Deployment", "StatefulSet", "NetworkPolicy", "Secret"}


@pytest.mark.slow
@needs_kustomize
@pytest.mark.parametrize("others", [[], ["annotate.yaml"], ["scale-on-lag.yaml", "scrape.yaml"]])
@pytest.mark.parametrize("gpu", [False, True])
def test_the_parts_that_a_site_may_add_render_with_the_rest(tmp_path, others, gpu):
    for path in FOLDER.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    (kustomization,) = [o for o in OBJECTS if o["kind"] == "Kustomization"]
    more = {"patches": [{"path": "gpu.yaml"}]} if gpu else {}
    whole = kustomization | {"resources": kustomization["resources"] + others} | more
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(whole))
    made = rendered(tmp_path)
    names = {(o["kind"], o["metadata"]["name"]) for o in made}
    for name in others:
        for o in all_loaded((FOLDER / name).read_text()):
            assert (o["kind"], o["metadata"]["name"]) in names
    (score,) = [o for o in made if o["kind"] == "StatefulSet"]
    (only,) = score["spec"]["template"]["spec"]["containers"]
    assert ("nvidia.com/gpu" in only["resources"]["limits"]) is gpu
    assert only["image"].endswith(VERSIONS["calodqm"]["deployed"])
    assert {"CALODQM_NAME", "CALODQM_INSTANCE"} <= {e["name"] for e in only["env"]}


@pytest.mark.parametrize("name", ["judge", "score"])
def test_a_workload_does_what_it_is_called(name):
    assert container(name)["args"][0] == name
