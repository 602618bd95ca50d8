"""Apache Kafka for what only it can show: one broker or three, plain or with TLS, SCRAM and ACLs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    UserScramCredentialUpsertion,
)
from waiting import wait_until

from consumers.app import children
from consumers.app.embedded import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HERE = Path(__file__).parents[1] / "kafka"
"""Where `make kafka` puts the jars, beside their scripts."""


def home() -> Path | None:
    """Return the folder of an Apache Kafka: KAFKA_HOME, else what `make kafka` got."""
    named = os.environ.get("KAFKA_HOME")
    if named:
        return Path(named).resolve()
    return HERE if (HERE / "libs").is_dir() and shutil.which("java") else None


needs_apache = pytest.mark.skipif(
    home() is None, reason="only Apache Kafka can show it: set KAFKA_HOME, or `make kafka`"
)


def _right(user: str, kind: str, name: str, operation: str) -> ACL:
    pattern = ACLResourcePatternType.PREFIXED if kind == "GROUP" else ACLResourcePatternType.LITERAL
    return ACL(
        f"User:{user}", "*", ACLOperation[operation], ACLPermissionType.ALLOW,
        ResourcePattern(ResourceType[kind], name, pattern),
    )  # fmt: skip


_CLUSTER = "4L6g3nShT-eMCtK--X86sw"
_PROTOCOL = {
    (False, False): "PLAINTEXT",
    (True, False): "SASL_PLAINTEXT",
    (False, True): "SSL",
    (True, True): "SASL_SSL",
}
_HEAP = {"KAFKA_HEAP_OPTS": "-Xms96m -Xmx384m"}
_MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"


@dataclass
class Cluster:
    """Brokers that live as long as the `with` block; OUTER is for clients, INNER for tools.

    Whoever comes by INNER is `User:ANONYMOUS`, who may do everything also where there are ACLs.
    """

    brokers: int = 1
    overrides: Mapping[str, str] = field(default_factory=dict)
    """Properties beside ours, or in their place."""

    users: Mapping[str, str] = field(default_factory=dict)
    """Passwords by name, by PLAIN and SCRAM; empty: no SASL."""

    keystore: Path | None = None
    """PKCS#12 whose password is `PASSWORD`; None: no TLS."""

    clients: Path | None = None
    """Authority of the certificates that clients must have, PEM; None: they need none."""

    acls: bool = False
    patience_s: float = 90.0
    """How long a broker may take to answer after it was started, s."""

    PASSWORD = "secret-1"  # noqa: S105 - of a key made for a test

    def __post_init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="calodqm-apache-"))
        numbers = range(self.brokers)
        self.ports = [free_port() for _ in numbers]
        self._inner = [free_port() for _ in numbers]
        self._control = [free_port() for _ in numbers]
        self._children: list[subprocess.Popen[bytes] | None] = [None for _ in numbers]

    @property
    def bootstrap(self) -> str:
        """Return the addresses for clients."""
        return ",".join(f"localhost:{port}" for port in self.ports)

    @property
    def inside(self) -> str:
        """Return the addresses of the plain listener."""
        return ",".join(f"localhost:{port}" for port in self._inner)

    def __enter__(self) -> Self:
        scram = [
            word
            for user, password in self.users.items()
            for name in _MECHANISMS
            for word in ("--add-scram", f"{name}=[name={user},password={password}]")
        ]
        for i in range(self.brokers):
            lines = [f"{name}={value}\n" for name, value in self.properties(i).items()]
            self._file(i).write_text("".join(lines), encoding="utf-8")
            self._run("kafka-storage", "format", "-t", _CLUSTER, "-c", str(self._file(i)), *scram)
        for i in range(self.brokers):
            self._launch(i)
        try:
            for i in range(self.brokers):
                self._wait(i)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            if child is not None:
                children.stop(child, 20)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self, i: int) -> None:
        """Start a broker that was stopped or killed."""
        self._launch(i)
        self._wait(i)

    def stop(self, i: int) -> None:
        """Stop a broker as an operator does."""
        children.stop(self._taken(i), 30)

    def kill(self, i: int) -> None:
        """End a broker as a power cut would."""
        child = self._taken(i)
        child.send_signal(signal.SIGKILL)
        child.wait()

    def pid(self, i: int) -> int:
        """Return the process id of a broker that runs."""
        child = self._children[i]
        assert child is not None
        return child.pid

    def tool(self, name: str, *arguments: str) -> str:
        """Return what one of Kafka's own tools prints."""
        return self._run(name, "--bootstrap-server", self.inside, *arguments)

    def password(self, user: str, password: str) -> None:
        """Give a user another password by SCRAM, as an administrator does while the broker runs."""
        with self._admin() as admin:
            for name in _MECHANISMS:  # one a request: a broker refuses two for one user
                given = UserScramCredentialUpsertion(user, name, password)
                assert admin.alter_user_scram_credentials([given]) == {user: None}

    def members(self, group: str) -> list[dict[str, Any]]:
        """Return the members of a group as the broker describes them."""
        with self._admin() as admin:
            found: list[dict[str, Any]] = admin.describe_groups([group])[group]["members"]
        return found

    def allow(self, user: str, name: str, *operations: str, kind: str = "TOPIC") -> None:
        """Give a user rights on a topic, or on groups whose names begin so."""
        with self._admin() as admin:
            admin.create_acls([_right(user, kind, name, operation) for operation in operations])

    def forbid(self, user: str, name: str, *operations: str, kind: str = "TOPIC") -> None:
        """Take rights away again."""
        with self._admin() as admin:
            admin.delete_acls([_right(user, kind, name, operation) for operation in operations])

    @contextlib.contextmanager
    def _admin(self) -> Iterator[KafkaAdminClient]:
        admin = KafkaAdminClient(bootstrap_servers=self.inside.split(","))
        try:
            yield admin
        finally:
            admin.close()

    def _run(self, name: str, *arguments: str) -> str:
        folder = home()
        assert folder is not None
        done = subprocess.run(
            [str(folder / "bin" / f"{name}.sh"), *arguments],
            capture_output=True, text=True, env=os.environ | _HEAP, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return done.stdout

    def _launch(self, i: int) -> None:
        folder = home()
        assert folder is not None
        command = [str(folder / "bin" / "kafka-server-start.sh"), str(self._file(i))]
        prefix = ["env", *(f"{name}={value}" for name, value in self.environment(i).items())]
        with self._log(i).open("ab") as output:
            self._children[i] = children.start([*prefix, *command], output=output)

    def _wait(self, i: int) -> None:
        def answers() -> bool:
            child = self._children[i]
            assert child is not None
            assert child.poll() is None, self._log(i).read_text()[-3000:]
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.ports[i])) == 0

        wait_until(answers, self.patience_s, "Apache Kafka to answer")

    def _taken(self, i: int) -> subprocess.Popen[bytes]:
        child, self._children[i] = self._children[i], None
        assert child is not None
        return child

    def _file(self, i: int) -> Path:
        return self._folder / f"{i}.properties"

    def _log(self, i: int) -> Path:
        return self._folder / f"{i}.out"

    def environment(self, i: int) -> dict[str, str]:
        """Return what a broker's process has in its environment beside ours."""
        return dict(_HEAP)

    def properties(self, i: int) -> dict[str, object]:
        """Return what a broker's file of properties says."""
        outer = _PROTOCOL[bool(self.users), self.keystore is not None]
        voters = ",".join(f"{k + 1}@localhost:{port}" for k, port in enumerate(self._control))
        listeners = f"OUTER://localhost:{self.ports[i]},INNER://localhost:{self._inner[i]}"
        return {
            "process.roles": "broker,controller",
            "node.id": i + 1,
            "controller.quorum.voters": voters,
            "listeners": f"{listeners},CONTROLLER://localhost:{self._control[i]}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": (
                f"OUTER:{outer},INNER:PLAINTEXT,CONTROLLER:PLAINTEXT"
            ),
            "inter.broker.listener.name": "INNER",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self._folder / f"log{i}",
            "offsets.topic.replication.factor": self.brokers,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": self.brokers,
            "transaction.state.log.num.partitions": 4,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            "auto.create.topics.enable": "false",
            **self._security(),
            **self.overrides,
        }

    def _security(self) -> dict[str, object]:
        given: dict[str, object] = {}
        if self.users:
            plain = " ".join(f'user_{user}="{word}"' for user, word in self.users.items())
            given |= {
                "sasl.enabled.mechanisms": ",".join(("PLAIN", *_MECHANISMS)),
                "listener.name.outer.plain.sasl.jaas.config": f"{_PLAIN} {plain};",
            }
            given |= {
                f"listener.name.outer.{name.lower()}.sasl.jaas.config": _SCRAM
                for name in _MECHANISMS
            }
        if self.keystore is not None:
            given |= {
                "ssl.keystore.type": "PKCS12",
                "ssl.keystore.location": self.keystore,
                "ssl.keystore.password": self.PASSWORD,
            }
        if self.clients is not None:
            given |= {
                "ssl.client.auth": "required",
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": self.clients,
            }
        if self.acls:
            given |= {
                "authorizer.class.name": (
                    "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
                ),
                "super.users": "User:ANONYMOUS",
                "allow.everyone.if.no.acl.found": "false",
            }
        return given
