"""Fault form: a fault as people write it, KIND:KEY=VALUE,...@START+LENGTH, to what it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from models.simulation.faults import KEYS, Fault, FaultError, FaultKind, keys_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_FORM = re.compile(
    r"(?P<kind>[a-z-]+)(?::(?P<keys>[^@]*))?(?:@(?P<start>[^+]*)(?:\+(?P<length>.*))?)?"
)


def parse(
    text: str,
    regions: Mapping[str, int] | None = None,
    channels: Callable[[str], bool] | None = None,
) -> Fault:
    """Return the fault of the form KIND:KEY=VALUE,...@START+LENGTH.

    All but KIND may be left out; START and LENGTH are seconds of stream time; lists are joined by
    `+`, ranges written `a-b`.

    Parameters
    ----------
    regions
        Ids of the regions by name, so that both may be written.
    channels
        Whether the detector has a channel or a group of that name; None if it has no channels.

    Raises
    ------
    FaultError
        If the text is no such form: one line with what is allowed.

    Examples
    --------
    >>> parse("hot:region=3,cells=200+201,x=10@30+60")
    Fault(kind=<FaultKind.HOT: 'hot'>, region=(3,), cells=(200, 201), layer='', ...
    """
    match = _FORM.fullmatch(text.strip())
    if match is None or match["kind"] not in set(FaultKind):
        raise FaultError(
            f"{text!r}: a fault is KIND:KEY=VALUE,...@START+LENGTH; KIND is one of "
            f"{', '.join(FaultKind)}"
        )
    kind = FaultKind(match["kind"])
    pairs = [pair.partition("=") for pair in (match["keys"] or "").split(",") if pair]
    values = {name.strip(): value.strip() for name, _, value in pairs}
    if len(values) != len(pairs) or not all(values.values()):
        raise FaultError(f"{text!r}: write each KEY=VALUE once; {kind} takes {keys_of(kind)}")
    region = _whole(values.pop("region", ""), "region", regions or {})
    cells = _whole(values.pop("cells", ""), "cells", {})
    layer = values.pop("layer", "")
    channel = _names(values.pop("channel", ""), channels)
    unknown = set(values) - set(KEYS[kind])
    if unknown:
        raise FaultError(
            f"{text!r}: {kind} takes {keys_of(kind)}, not {', '.join(sorted(unknown))}"
        )
    start = _number(match["start"] or "0", "START")
    length = _number(match["length"] or "inf", "LENGTH")
    magnitudes = {name: _number(value, name) for name, value in values.items()}
    return Fault(kind, region, cells, layer, magnitudes, start, length, channel)


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise FaultError(f"{name} must be a number, not {text!r}") from None


def _names(text: str, known: Callable[[str], bool] | None) -> tuple[str, ...]:
    if text and known is None:
        raise FaultError(f"channel={text}: the detector file says no channels")
    names = tuple(_split(text, known or bool))
    for name in names:
        if known is not None and not known(name):
            raise FaultError(f"channel: no channel or group is named {name!r}")
    return names


def _split(text: str, known: Callable[[str], bool]) -> Iterator[str]:
    """Yield what is joined by +, which may also be in the names that are known."""
    parts = text.split("+") if text else []
    while parts:
        joined = ["+".join(parts[:n]) for n in range(len(parts), 0, -1)]
        part = next((name for name in joined if known(name)), parts[0])
        yield part
        parts = parts[part.count("+") + 1 :]


def _whole(text: str, name: str, known: Mapping[str, int]) -> tuple[int, ...]:
    numbers: list[int] = []
    for part in _split(text, known.__contains__):
        if part in known:
            numbers.append(known[part])
            continue
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)
        if match is None:
            raise FaultError(f"{name} must be numbers joined by + (or a-b), not {part!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        numbers += range(first, last + 1)
    return tuple(numbers)
