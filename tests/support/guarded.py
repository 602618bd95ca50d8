"""A broker behind TLS and SASL: Apache Kafka's own where KAFKA_HOME names it, else at a gate."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apache import Cluster
from authority import server_context
from gate import Gate

from consumers.app.embedded import EmbeddedBroker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from authority import Authority

OWN = bool(os.environ.get("KAFKA_HOME"))


@dataclass
class Guarded:
    """A broker that not everybody may come to."""

    port: int
    gate: Gate | None = None

    @property
    def let_in(self) -> int | None:
        """Return how many connections were let in; None where the broker does not count them."""
        return None if self.gate is None else self.gate.let_in


@contextlib.contextmanager
def guarded(
    authority: Authority,
    name: str,
    *,
    names: str = "DNS:localhost,IP:127.0.0.1",
    users: Mapping[str, str] | None = None,
    by_certificate: bool = False,
) -> Iterator[Guarded]:
    """Yield a broker with a certificate for some host names.

    With `users` it asks for their passwords, with `by_certificate` for certificates of clients.
    """
    clients = authority.file if by_certificate else None
    if OWN:
        keystore = authority.keystore(name, Cluster.PASSWORD, names)
        with Cluster(users=users or {}, keystore=keystore, clients=clients) as cluster:
            yield Guarded(cluster.ports[0])
        return
    gate = Gate(tls=server_context(*authority.sign(name, names), clients=clients), users=users)
    with EmbeddedBroker(advertised=f"localhost:{gate.port}") as broker:
        gate.start(broker.bootstrap)
        try:
            yield Guarded(gate.port, gate)
        finally:
            gate.stop()
