"""The pods of the manifests, started as they say: arguments, environment, mounts, user, probes, PID 1.

Only what the manifests tell a site to change is changed: the broker's address, the password, the
certificate of its authority. Broker: Apache Kafka behind TLS and SCRAM where KAFKA_HOME names one,
the embedded one behind a gate elsewhere.
"""

import time

import pytest
import yaml
from authority import Authority
from deployed import DEPLOY
from guarded import guarded
from shut_in import CAN, USER, answers, ended, first_process, started, swept, until

from consumers.app.embedded import free_port

pytestmark = [
    pytest.mark.timed,
    pytest.mark.skipif(not CAN, reason="only root can shut a process in as a container does"),
]
PASSWORD = "of a site of its own"  # noqa: S105
OBJECTS = [
    one
    for name in ("config", "score", "judge")
    for one in yaml.safe_load_all((DEPLOY / "kubernetes" / f"{name}.yaml").read_text())
]


def found(kind, name):
    return next(o for o in OBJECTS if (o["kind"], o["metadata"]["name"]) == (kind, name))


class Pod:
    """A pod of a workload, on this machine."""

    def __init__(self, kind, name):
        spec = found(kind, name)["spec"]["template"]["spec"]
        [self.container] = spec["containers"]
        self.security, self.grace_s = spec["securityContext"], spec["terminationGracePeriodSeconds"]
        self.name, self.spec = f"{name}-0", spec

    def environment(self):
        """Return the variables that Kubernetes would give it, in its order."""
        given = {}
        for source in self.container["envFrom"]:
            [(kind, reference)] = source.items()
            if kind == "configMapRef":
                given |= found("ConfigMap", reference["name"])["data"]
            else:
                given |= found("Secret", reference["name"])["stringData"]
        for one in self.container["env"]:
            assert one["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
            given[one["name"]] = self.name
        return given

    def mount(self, volume):
        """Return where a volume is mounted, and the names of its files."""
        [mount] = [m for m in self.container["volumeMounts"] if m["name"] == volume]
        [source] = [v for v in self.spec["volumes"] if v["name"] == volume]
        assert mount["readOnly"]
        return mount["mountPath"], set(
            found("Secret", source["secret"]["secretName"])["stringData"]
        )

    def start(self, bootstrap, port, authority):
        """Start it with what a site has changed."""
        where, files = self.mount("ca")
        assert files == {"ca.crt"}
        (authority.parent / "shown").mkdir(exist_ok=True)
        (authority.parent / "shown" / "ca.crt").write_bytes(authority.read_bytes())
        said = self.environment() | {
            "CALODQM_BOOTSTRAP": bootstrap,
            "CALODQM_SASL_PASSWORD": PASSWORD,
            "CALODQM_HTTP_PORT": str(port),  # one network here, one each there
        }
        shown = (authority.parent / "shown", where.removeprefix("/etc/"))
        self.process = started(self.container["args"], said, shown=shown)

    def allows_s(self, probe):
        """Return after how long a probe that fails has the pod killed, s."""
        told = self.container[probe]
        return told["periodSeconds"] * told["failureThreshold"]

    def asked(self, port, probe):
        """Return whether a probe is answered with yes."""
        [(kind, told)] = [(k, v) for k, v in self.container[probe].items() if k == "httpGet"]
        assert kind == "httpGet"
        [named] = [p for p in self.container["ports"] if p["name"] == told["port"]]
        assert named["containerPort"] == 9108
        return answers(port, told["path"])


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


def test_the_pods_run_as_the_manifests_start_them(authority):
    user = found("Secret", "calodqm")["stringData"]["CALODQM_SASL_USERNAME"]
    pods = {Pod("StatefulSet", "score"): free_port(), Pod("Deployment", "judge"): free_port()}
    with guarded(authority, "broker", users={user: PASSWORD}) as broker:
        try:
            for pod, port in pods.items():
                pod.start(f"localhost:{broker.port}", port, authority.file)
            for pod, port in pods.items():
                began = time.monotonic()
                until(lambda p=pod, at=port: p.asked(at, "startupProbe"), 60, pod.process)
                assert time.monotonic() - began < pod.allows_s("startupProbe")
                until(lambda p=pod, at=port: p.asked(at, "readinessProbe"), 120, pod.process)
                assert pod.asked(port, "livenessProbe")
                me = first_process(pod.process)
                assert pod.security["runAsUser"] == int(USER)
                assert set(me.uids()) == {int(USER)}
                assert "HOME" not in me.environ()
            for pod in reversed(pods):
                ended(pod.name, pod.process)
                assert pod.grace_s > 10
        finally:
            swept(pod.process for pod in pods)
