"""Settings of a service, with their meaning for people; `environment` reads them."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import AwareDatetime, ConfigDict, Field, SecretStr, model_validator
from pydantic import field_validator as checks

from consumers.app.judge_settings import Judgement
from consumers.kafka.connection import Connection
from consumers.kafka.tokens import FileToken
from consumers.wire import topics

PREFIX = "CALODQM_"
ROOT = Path(__file__).parents[2]
ARTEFACT = ROOT / "models" / "artefacts" / "pb-lar-flux"

LEGAL = r"^[a-zA-Z0-9._-]*[a-zA-Z0-9_-][a-zA-Z0-9._-]*$"
"""What Kafka takes as the name of a topic or of a member of a group."""

LONGEST = 240
"""Of such a name: Kafka's 249 less room for an ending of ours."""

SERVICE = (
    "bootstrap", "prefix", "artefact", "detector", "topic", "group", "instance", "name", "device", "threads",
    "http_host", "http_port", "partitions", "skip",
)  # fmt: skip
"""Settings that a running service takes as options too; the others are variables only."""


class Settings(Judgement):
    """Every knob of the service, its unit and its default."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        str_strip_whitespace=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    bootstrap: str = "127.0.0.1:9092"
    """Kafka brokers, host:port, comma-separated; an IPv6 address in brackets."""

    artefact: Path = ARTEFACT
    """Folder of the model to begin with; once a judge has begun, `calodqm model` changes it."""

    certified: Path | None = None
    """File of showers that the model was certified with, or `gflash:...`: what to expect of showers
    without masked cells, and at the borders of a detector, is learnt from it. Without one, from the
    showers that the artefact keeps; the shipped models of the test beam have theirs. A model without
    any generates showers itself, if it has no condition but the energy."""

    detector: Path | None = None
    """Detector file, TOML; without one, a detector of four sectors with four regions each."""

    known_bad: Path | None = None
    """CSV file of channels that are known to be bad, with from and until: `channel,from,until,cause`."""

    prefix: str = Field(default="", pattern=r"^[a-zA-Z0-9._-]*$", max_length=100)
    """What the names of this service's topics begin with, so that several services share a cluster.
    Topic of showers and group begin with it too, unless they are given."""

    topic: str = Field(default=topics.SHOWERS, pattern=LEGAL, max_length=LONGEST)
    """Topic that the showers come on."""

    group: str = Field(default="calodqm", pattern=LEGAL, max_length=LONGEST)
    """Consumer group of the score workers; the judges' is this with `-judge`."""

    instance: str | None = Field(default=None, pattern=LEGAL, max_length=LONGEST)
    """Name for static membership of a score worker: its restart moves no partition."""

    name: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    """What this process calls itself on the topics."""

    rack: str = Field(default="", max_length=LONGEST)
    """Where this process is, as the brokers' `broker.rack` names it: it reads from replicas there,
    if the cluster has a selector of replicas."""

    session_s: float = Field(default=10.0, ge=1, le=300)
    """Others take over after this, if a process dies without a word, s."""

    emit_s: float = Field(default=0.5, gt=0, le=60)
    """Wall-clock time between ranges of windows, s."""

    snapshot_s: float = Field(default=60.0, gt=0, le=3600)
    """Wall-clock time between snapshots of the judge, s: they write as much as they are often, and a
    judge that takes over reads so much of the windows again, some 16 ms a second at 64 regions."""

    latency_s: float = Field(default=30.0, ge=0, le=600)
    """Most that a partition or a producer may come behind the newest data and still be judged in
    time, data time, s; how much of it is needed the judge learns from what it sees."""

    shadow_s: int = Field(default=30, ge=1, le=86_400)
    """Data-seconds that a model must have seen in shadow without a gap before it may take over."""

    overload: str = Field(default="lossless", pattern="^(lossless|live)$")
    """What gives when more comes than is scored: time (lag grows), or old showers (only counted)."""

    overload_s: float = Field(default=10.0, ge=1, le=3600)
    """With `live`, a record that has waited this long on the broker is not scored, s."""

    earliest: AwareDatetime = datetime(2000, 1, 1, tzinfo=UTC)
    """Earliest data time that can be true, ISO 8601 with an offset: before it, a clock counts in
    another unit."""

    batch: int = Field(default=2048, ge=1, le=131_072)
    """Most showers scored at once."""

    device: str = Field(default="auto", pattern="^(auto|cpu|cuda)$")
    """Where a worker scores: auto takes a GPU if there is one."""

    threads: int = Field(default=1, ge=1, le=256)
    """CPU threads of the model."""

    compile: bool = True
    """Where there is g++: a worker of one thread goes over to a compiled model once it is made."""

    partitions: int = Field(default=4, ge=1, le=4096)
    """Of the showers topic, where it has to be created."""

    replication: int | None = Field(default=None, ge=1, le=16)
    """Copies of topics that have to be created; without it what the cluster can give, up to 3."""

    http_host: str = "127.0.0.1"
    """Address that the page and /metrics listen on: `::` and `0.0.0.0` are all of the machine's."""

    http_port: int = Field(default=9108, ge=0, le=65_535)
    """Of the page and /metrics; 0 takes a free one."""

    skip: str = Field(default="", pattern=r"^(\s*[\w.-]+\[\d+\]@\d+\s*(,|$))*$")
    """Records that are passed over, as the log writes them, comma-separated: TOPIC[PARTITION]@OFFSET.
    For one that stops a worker or a judge whatever they do; each is a dead letter."""

    page_token: SecretStr | None = Field(default=None, min_length=16)
    """Who knows it may acknowledge alarms over the page; without it the page is for looking."""

    security_protocol: str = Field(
        default="PLAINTEXT", pattern="^(PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)$"
    )
    """How the brokers are spoken to: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""

    ssl_cafile: Path | None = None
    """Certificates of the authorities that sign the brokers', PEM; without it, the system's."""

    ssl_certfile: Path | None = None
    """Our own certificate, PEM, where the brokers ask for one."""

    ssl_keyfile: Path | None = None
    """The key of our certificate, PEM."""

    ssl_password: SecretStr | None = None
    """What opens the key, if it is locked."""

    sasl_mechanism: str | None = Field(
        default=None, pattern="^(PLAIN|SCRAM-SHA-256|SCRAM-SHA-512|OAUTHBEARER|GSSAPI)$"
    )
    """How we say who we are: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI."""

    sasl_username: str | None = None
    """For PLAIN and SCRAM."""

    sasl_password: SecretStr | None = None
    """For PLAIN and SCRAM."""

    sasl_password_file: Path | None = None
    """In place of the password, a file that holds it; read anew for every client."""

    sasl_token_file: Path | None = None
    """For OAUTHBEARER: a file that holds the token, kept fresh by others."""

    sasl_kerberos_service: str = "kafka"
    """For GSSAPI: the service part of the brokers' principal."""

    sasl_kerberos_domain: str | None = None
    """For GSSAPI: the host part of the brokers' principal, where it is not the broker's address."""

    refused_s: float = Field(default=600.0, ge=0)
    """For so long a process that had been let in tries again after its certificate, password or
    token is refused, with the files as they are then, s; at the start a refusal ends it."""

    @model_validator(mode="before")
    @classmethod
    def _prefixed(cls, given: Any) -> Any:
        prefix = given.get("prefix", "")
        named = {name: f"{prefix}{cls.model_fields[name].default}" for name in ("topic", "group")}
        return {**(named if prefix else {}), **given}

    @checks("bootstrap")
    @classmethod
    def _addresses(cls, text: str) -> str:
        found = [address.strip() for address in text.split(",") if address.strip()]
        wrong = [address for address in found if not _ADDRESS.fullmatch(address)]
        if wrong or not found:
            raise ValueError(f"{(wrong or [text])[0]!r} is not host:port")
        return ",".join(found)

    @checks("page_token", "ssl_password", "sasl_password", mode="before")
    @classmethod
    def _line(cls, value: Any) -> Any:
        # Editors and `echo` end what they write with a newline; blanks may be meant.
        return value.rstrip("\r\n") if isinstance(value, str) else value

    @model_validator(mode="after")
    def _warned_first(self) -> Self:
        if self.warning_days > self.budget_days:
            raise ValueError("warning_days must not exceed budget_days: pages would come first")
        return self

    @model_validator(mode="after")
    def _secured(self) -> Self:
        """Refuse what would send a secret in the clear, or could never be let in."""
        protocol = self.security_protocol
        for name in self.model_fields_set & _ONLY_WITH.keys():
            if getattr(self, name) is not None and _ONLY_WITH[name] not in protocol:
                wanted = f"SASL_SSL{' or SSL' if _ONLY_WITH[name] == 'SSL' else ''}"
                raise ValueError(f"{name} counts for nothing with {protocol}: set {wanted}")
        if "SASL" in protocol:
            if self.sasl_mechanism is None:
                raise ValueError(f"{protocol} needs sasl_mechanism: PLAIN, SCRAM-SHA-512, ...")
            self._check_mechanism(self.sasl_mechanism)
        return self

    def _check_mechanism(self, mechanism: str) -> None:
        if mechanism == "GSSAPI":
            if importlib.util.find_spec("gssapi") is None:
                raise ValueError("GSSAPI needs the package gssapi: pip install 'calodqm[kerberos]'")
            return
        if self.sasl_password is not None and self.sasl_password_file is not None:
            raise ValueError("sasl_password and sasl_password_file are given: one is enough")
        given = {
            "sasl_token_file": self.sasl_token_file,
            "sasl_username": self.sasl_username,
            "sasl_password or sasl_password_file": self.sasl_password or self.sasl_password_file,
        }
        names = list(given)[:1] if mechanism == "OAUTHBEARER" else list(given)[1:]
        lacking = [name for name in names if given[name] is None]
        if lacking:
            raise ValueError(f"{mechanism} needs {' and '.join(lacking)}")

    def skipped(self) -> frozenset[str]:
        """Return the places of records that are passed over."""
        return frozenset(place.strip() for place in self.skip.split(",") if place.strip())

    @property
    def earliest_ns(self) -> int:
        """Return `earliest` in ns since 1970 UTC."""
        return int(self.earliest.timestamp()) * 10**9

    def connection(self, role: str = "command") -> Connection:
        """Return where the brokers are and how to get in, as a part of the service."""
        name = f"calodqm/{role}/{self.name}"
        if self.security_protocol == "PLAINTEXT":
            return Connection(self.bootstrap, name=name, rack=self.rack, prefix=self.prefix)
        given = {
            "security_protocol": self.security_protocol,
            "ssl_cafile": _text(self.ssl_cafile),
            "ssl_certfile": _text(self.ssl_certfile),
            "ssl_keyfile": _text(self.ssl_keyfile),
            "ssl_password": _text(self.ssl_password),
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": _text(self.sasl_password),
            "sasl_oauth_token_provider": self.sasl_token_file and FileToken(self.sasl_token_file),
        }
        if self.sasl_mechanism == "GSSAPI":
            given["sasl_kerberos_service_name"] = self.sasl_kerberos_service
            given["sasl_kerberos_domain_name"] = self.sasl_kerberos_domain
        secrets = {"sasl_plain_password": self.sasl_password_file}
        return Connection(
            self.bootstrap,
            {k: v for k, v in given.items() if v is not None},
            {k: path for k, path in secrets.items() if path is not None},
            name=name,
            rack=self.rack,
            prefix=self.prefix,
        )


_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\]|[^\s:\[\]]+):\d{1,5}")
_OF_SASL = ("mechanism", "username", "password", "password_file", "token_file")
_ONLY_WITH = {
    **{f"ssl_{name}": "SSL" for name in ("cafile", "certfile", "keyfile", "password")},
    **{f"sasl_{name}": "SASL" for name in _OF_SASL},
}
"""Settings that a protocol must make use of: else a secret went in the clear, or nowhere."""


def _text(value: Path | SecretStr | None) -> str | None:
    if value is None:
        return None
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
