"""Cluster: what a survey of the broker's topics and groups means for the service."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumers.cli.finding import Finding
from consumers.kafka.admin import COPIES, STATE, wanted
from consumers.wire import topics
from consumers.wire.block import DecodeError
from consumers.wire.ranges import Range, header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from consumers.kafka.survey import Survey, TopicFacts
    from consumers.wire.record import Record

FOR_EVER = -1


@dataclass(frozen=True, slots=True)
class Part:
    """The part of the service that is asked about."""

    showers: str
    """Topic that the showers come on."""

    group: str
    roles: tuple[str, ...]
    """Of `topics.RIGHTS`: what this user is there for."""

    there: Callable[[str], str] = str
    """Returns what the cluster calls a topic."""

    def rights(self) -> dict[str, frozenset[str]]:
        """Return what the part does with each topic."""
        found: dict[str, frozenset[str]] = {}
        for role in self.roles:
            for name, operations in topics.RIGHTS[role].items():
                topic = self.showers if name == topics.SHOWERS else name
                found[topic] = found.get(topic, frozenset()) | operations
        return found

    def groups(self) -> list[str]:
        """Return the groups that the part is a member of."""
        ours = {"score": self.group, "judge": f"{self.group}-judge"}
        return [ours[role] for role in self.roles if role in ours]


def findings(part: Part, seen: Survey) -> Iterator[Finding]:
    """Yield what is to be said of each topic and group."""
    for name, rights in part.rights().items():
        there = part.there(name)
        what = f"topic {there}"
        facts = seen.topics.get(name)
        problems = list(
            _absent(name, there, seen) if facts is None else _problems(name, part, facts, seen)
        )
        missing = [] if facts is None or facts.rights is None else sorted(rights - facts.rights)
        if missing:
            problems.insert(0, _unallowed("topic", there, missing))
        yield from (Finding(what, well=False, text=text, mend=mend) for text, mend in problems)
        if facts is not None and not problems:
            yield Finding(what, well=True, text=_described(facts))
    for group in part.groups():
        if "READ" not in seen.groups.get(group, {"READ"}):
            text, mend = _unallowed("group", group, ["READ"])
            yield Finding(f"group {group}", well=False, text=text, mend=mend)


def clocks(records: Iterable[Record]) -> dict[str, float]:
    """Return by how much the clock of each worker is ahead of the broker's, s.

    Parameters
    ----------
    records
        Of the windows topic, with times of the broker's clock.
    """
    found: dict[str, list[float]] = {}
    for record in records:
        with suppress(DecodeError):
            entry = header(record.value)
            if isinstance(entry, Range) and entry.said_ms:
                ahead = (entry.said_ms - record.timestamp_ms) / 1000
                found.setdefault(entry.worker, []).append(ahead)
    # What was long under way looks late: the least delayed tells.
    return {worker: max(ahead) for worker, ahead in found.items()}


def _described(facts: TopicFacts) -> str:
    partitions = f"{facts.partitions} partition{'s' if facts.partitions != 1 else ''}"
    return f"{partitions}, {facts.copies} cop{'ies' if facts.copies != 1 else 'y'}"


def _unallowed(kind: str, name: str, missing: list[str]) -> tuple[str, str]:
    words = " ".join(f"--operation {operation.title()}" for operation in missing)
    return (
        f"no right to {' or '.join(operation.lower() for operation in missing)}",
        f"kafka-acls --add --allow-principal User:... --{kind} {name} {words}",
    )


def _absent(name: str, there: str, seen: Survey) -> Iterator[tuple[str, str]]:
    if name in seen.hidden:
        yield _unallowed("topic", there, ["DESCRIBE"])
    else:
        yield "is not there", "start `calodqm run`, which creates it, or create it by hand"


def _problems(name: str, part: Part, facts: TopicFacts, seen: Survey) -> Iterator[tuple[str, str]]:
    configs, there = wanted(topics.SHOWERS if name == part.showers else name), part.there(name)
    if name != part.showers and facts.partitions != 1:
        yield (
            f"has {facts.partitions} partitions; its order is the state, so it must have one",
            f"create it anew with one partition and {_settings(configs)}",
        )
    yield from _copies(name, there, facts, seen)
    for key, value in configs.items():
        now = facts.configs.get(key)
        if now is not None and not _serves(key, now, value):
            yield f"{key} is {now}, not {value}", _configure(there, f"{key}={value}")
    if facts.configs.get("retention.bytes", "-1") != "-1" and name in STATE:
        now = facts.configs["retention.bytes"]
        yield (
            f"retention.bytes is {now}: what is older than that many bytes is lost",
            _configure(there, "retention.bytes=-1"),
        )


def _copies(name: str, there: str, facts: TopicFacts, seen: Survey) -> Iterator[tuple[str, str]]:
    least = int(facts.configs.get("min.insync.replicas", 1))
    if facts.copies < min(COPIES, seen.brokers) and facts.copies:
        yield (
            f"{_described(facts)} on {seen.brokers} brokers: the loss of one may lose it",
            f"kafka-reassign-partitions, to {min(COPIES, seen.brokers)} copies",
        )
    elif facts.copies > 1 and least >= facts.copies:
        yield (
            f"min.insync.replicas is {least} of {facts.copies} copies: a broker away stops us",
            _configure(there, f"min.insync.replicas={facts.copies - 1}"),
        )
    elif facts.copies >= COPIES and least < 2 and name in STATE:
        yield (
            f"min.insync.replicas is {least}: what is acknowledged may lie on one broker alone",
            _configure(there, f"min.insync.replicas={facts.copies - 1}"),
        )


def _serves(key: str, now: str, value: str) -> bool:
    """Return whether a setting is as the design needs it, or more."""
    if key not in {"retention.ms", "max.message.bytes"}:
        return now == value
    most = float("inf")
    return _number(now, most) >= _number(value, most)


def _number(text: str, for_ever: float) -> float:
    return for_ever if int(text) == FOR_EVER else int(text)


def _settings(configs: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in configs.items())


def _configure(name: str, setting: str) -> str:
    return f"kafka-configs --alter --entity-type topics --entity-name {name} --add-config {setting}"
