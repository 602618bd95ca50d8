"""The workloads on Kubernetes: valid, without rights, apart on nodes, and as the program is."""

import kubernetes_validate
import pytest
from deployed import DEPLOY, VERSIONS, all_loaded
from manifests import MANIFESTS, objects, of_kind, workers

from consumers.app import settings
from consumers.wire import topics

OTHERS = {"Kustomization", "ScaledObject", "TriggerAuthentication", "PodMonitor", "PrometheusRule"}


@pytest.mark.parametrize("version", VERSIONS["kubernetes"]["tested"])
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_every_manifest_is_valid_for_kubernetes(path, version):
    for o in all_loaded(path.read_text()):
        assert {"apiVersion", "kind"} <= set(o)
        if o["kind"] not in OTHERS:
            kubernetes_validate.validate(o, version, strict=True)


def test_probes_and_ports_agree_with_the_program():
    port = settings.Settings.model_fields["http_port"].default
    assert f"EXPOSE {port}" in (DEPLOY / "Containerfile").read_text()
    for o in [of_kind("Deployment")["judge"], workers()]:
        container = o["spec"]["template"]["spec"]["containers"][0]
        assert container["ports"] == [{"name": "http", "containerPort": port}]
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_pods_run_without_rights():
    for o in [*of_kind("Deployment").values(), workers()]:
        spec = o["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        # Without a word of the group it is root's.
        assert (
            spec["securityContext"]["runAsUser"] == spec["securityContext"]["runAsGroup"] > 10_000
        )
        rights = spec["containers"][0]["securityContext"]
        assert rights["readOnlyRootFilesystem"]
        assert not rights["allowPrivilegeEscalation"]
        assert rights["capabilities"]["drop"] == ["ALL"]


@pytest.mark.slow
def test_pods_say_how_much_disk_they_need_and_no_pod_can_fill_its_node():
    for o in [of_kind("Deployment")["judge"], workers()]:
        spec = o["spec"]["template"]["spec"]
        resources = spec["containers"][0]["resources"]
        for amounts in (resources["requests"], resources["limits"]):
            assert {"memory", "ephemeral-storage"} <= set(amounts)
        empty = [v["emptyDir"] for v in spec["volumes"] if "emptyDir" in v]
        # On disk: what lies in memory counts as the pod's.
        assert all("sizeLimit" in one and "medium" not in one for one in empty)


def test_one_nodes_loss_takes_not_both_judges_and_not_all_workers():
    rules = {}
    for o in [of_kind("Deployment")["judge"], workers()]:
        labels = o["spec"]["template"]["metadata"]["labels"]
        apart = o["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]
        [(how, [term])] = apart.items()
        term = term.get("podAffinityTerm", term)
        assert term["topologyKey"] == "kubernetes.io/hostname"
        assert term["labelSelector"]["matchLabels"] == labels
        rules[o["metadata"]["name"]] = how
    assert rules["judge"].startswith("required")
    assert rules["score"].startswith("preferred")  # there may be more workers than nodes


@pytest.mark.slow
def test_selectors_meet_their_pods():
    made = of_kind("Deployment") | {"score": workers()}
    for kind in ("Service", "PodDisruptionBudget"):
        for o in of_kind(kind).values():
            selector = o["spec"]["selector"]
            selector = selector.get("matchLabels", selector)
            pods = [p["spec"]["template"]["metadata"]["labels"] for p in made.values()]
            assert any(selector.items() <= labels.items() for labels in pods), o["metadata"]


@pytest.mark.slow
def test_scaling_follows_our_topic_and_group_up_to_its_partitions():
    scaled = of_kind("ScaledObject")["score"]["spec"]
    trigger = scaled["triggers"][0]["metadata"]
    assert trigger["topic"] == topics.SHOWERS
    assert trigger["consumerGroup"] == settings.Settings.model_fields["group"].default
    partitions = of_kind("ConfigMap")["calodqm"]["data"]["CALODQM_PARTITIONS"]
    assert scaled["maxReplicaCount"] == int(partitions)


def test_kustomize_takes_what_needs_nothing_else():
    [kustomization] = [o for o in objects() if o["kind"] == "Kustomization"]
    for name in kustomization["resources"]:
        kinds = {o["kind"] for o in all_loaded((DEPLOY / "kubernetes" / name).read_text())}
        assert not kinds & OTHERS


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_pods_do_not_get_the_variables_of_services(kind):
    for workload in of_kind(kind).values():
        assert workload["spec"]["template"]["spec"]["enableServiceLinks"] is False
