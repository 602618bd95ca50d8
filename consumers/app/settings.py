"""Settings of a service: from CALODQM_* variables, overruled by the command line."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from consumers.kafka.connection import Connection
from consumers.wire import topics
from consumers.wire.failure import UserError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

PREFIX = "CALODQM_"
ROOT = Path(__file__).parents[2]
ARTEFACT = ROOT / "models" / "artefacts" / "pb-lar-flux"


SERVICE = (
    "bootstrap", "artefact", "detector", "topic", "group", "instance", "name", "device", "threads",
    "http_host", "http_port", "partitions", "skip",
)  # fmt: skip
"""Settings that a running service takes as options too; the others are variables only."""


class Settings(BaseSettings):
    """Every knob of the service, its unit and its default."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    bootstrap: str = "127.0.0.1:9092"
    """Kafka brokers, host:port, comma-separated."""

    artefact: Path = ARTEFACT
    """Folder of the model to begin with; once a judge has begun, `calodqm model` changes it."""

    detector: Path | None = None
    """Detector file, TOML; without one, a detector of four sectors with four regions each."""

    topic: str = topics.SHOWERS
    """Topic that the showers come on."""

    group: str = "calodqm"
    """Consumer group of the score workers; the judges' is this with `-judge`."""

    instance: str | None = None
    """Name for static membership of a score worker: its restart moves no partition."""

    name: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    """What this process calls itself on the topics."""

    session_s: float = Field(default=10.0, ge=1, le=300)
    """Others take over after this, if a process dies without a word, s."""

    emit_s: float = Field(default=0.5, gt=0, le=60)
    """Wall-clock time between ranges of windows, s."""

    snapshot_s: float = Field(default=20.0, gt=0, le=3600)
    """Wall-clock time between snapshots of the judge, s."""

    latency_s: float = Field(default=30.0, ge=0, le=600)
    """Most that a partition or a producer may come behind the newest data and still be judged in
    time, data time, s; how much of it is needed the judge learns from what it sees."""

    shadow_s: int = Field(default=30, ge=1, le=86_400)
    """Data-seconds that a model must have seen in shadow without a gap before it may take over."""

    overload: str = Field(default="lossless", pattern="^(lossless|live)$")
    """What gives when more comes than is scored: time (lag grows), or showers (old ones are counted
    and not scored)."""

    overload_s: float = Field(default=10.0, ge=1, le=3600)
    """With `live`, a record that has waited this long on the broker is not scored, s."""

    batch: int = Field(default=2048, ge=1, le=131_072)
    """Most showers scored at once."""

    device: str = Field(default="auto", pattern="^(auto|cpu|cuda)$")
    threads: int = Field(default=1, ge=1, le=256)
    """CPU threads of the model."""

    budget_days: float = Field(default=30.0, gt=0)
    """Days of data-taking for which one false page is allowed."""

    partitions: int = Field(default=4, ge=1, le=4096)
    """Of the showers topic, where it has to be created."""

    replication: int = Field(default=1, ge=1, le=16)
    """Of topics that have to be created."""

    http_host: str = "127.0.0.1"
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
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_password: SecretStr | None = None
    sasl_mechanism: str | None = Field(
        default=None, pattern="^(PLAIN|SCRAM-SHA-256|SCRAM-SHA-512)$"
    )
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None

    def skipped(self) -> frozenset[str]:
        """Return the places of records that are passed over."""
        return frozenset(place.strip() for place in self.skip.split(",") if place.strip())

    def connection(self) -> Connection:
        """Return where the brokers are and how to get in."""
        if self.security_protocol == "PLAINTEXT":
            return Connection(self.bootstrap)
        given = {
            "security_protocol": self.security_protocol,
            "ssl_cafile": _text(self.ssl_cafile),
            "ssl_certfile": _text(self.ssl_certfile),
            "ssl_keyfile": _text(self.ssl_keyfile),
            "ssl_password": _text(self.ssl_password),
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": _text(self.sasl_password),
        }
        return Connection(self.bootstrap, {k: v for k, v in given.items() if v is not None})


def _text(value: Path | SecretStr | None) -> str | None:
    if value is None:
        return None
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def load(given: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings; what is `given` and not None overrules the environment.

    Raises
    ------
    UserError
        If a value is wrong, or a CALODQM_* variable is one that nothing reads.
    """
    unknown = unknown_variables(environ)
    if unknown:
        known = ", ".join(sorted(f"{PREFIX}{name.upper()}" for name in Settings.model_fields))
        raise UserError(f"unknown setting {min(unknown)}; there are {known}")
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "settings"
        raise UserError(f"setting {name}: {first['msg']}") from None


def unknown_variables(environ: Mapping[str, str]) -> set[str]:
    """Return `CALODQM_*` variables that no setting reads: most likely misspelt."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    return {name for name in environ if name.startswith(PREFIX)} - known


def add_arguments(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add an option for each setting named; without it the environment or the default counts."""
    for name in names:
        text = f"default: {PREFIX}{name.upper()}, or {_shown(name)}"
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="VALUE", help=text)


def _shown(name: str) -> str:
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        return "one made of host and process"
    default = field.default
    if isinstance(default, Path):
        return str(default.relative_to(ROOT))
    return "none" if default is None else str(default).replace("%", "%%")


def from_arguments(args: argparse.Namespace) -> Settings:
    """Return the settings of a command line whose options `add_arguments` added."""
    return load({name: getattr(args, name, None) for name in Settings.model_fields})
