"""Channel files: the channels that a detector file describes, as grids or by tables."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from models.detector import channel_tables
from models.detector.channels import AXES, ChannelsError
from models.detector.grids import build
from models.detector.parts import GridGroup, GridLayer, Part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from models.detector.channels import Channels

KEYS = ("part", "channels", "axes")
"""What of a detector file is about channels."""


def load(path: Path) -> Channels:
    """Return the channels of a detector file, or raise `ChannelsError`; see `monitor.detector`."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ChannelsError(f"{path}: {error}") from None
    try:
        if "part" in told:
            return of_parts(parts(told["part"]), told.get("axes"))
        if "channels" in told:
            names = [str(region.get("name", "")) for region in told.get("region", [])]
            return of_tables(told["channels"], told.get("axes"), path.parent, names)
    except ChannelsError as error:
        raise ChannelsError(f"{path}: {error}") from None
    raise ChannelsError(f"{path}: says no channels: no [[part]] and no [channels]")


def parts(told: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    """Return the parts of the `[[part]]` tables of a file, or raise `ChannelsError`."""
    if not isinstance(told, list) or not told:
        raise ChannelsError("part: write one [[part]] table or more")
    return tuple(_part(table) for table in told)


def of_parts(made: tuple[Part, ...], axes: object) -> Channels:
    """Return the channels of parts, or raise `ChannelsError`."""
    return build(made, _axes(axes))


def of_tables(told: object, axes: object, folder: Path, regions: Sequence[str]) -> Channels:
    """Return the channels of the tables that `[channels]` names, or raise `ChannelsError`.

    Parameters
    ----------
    folder
        What the names of files are relative to.
    regions
        Names of the detector's regions, in order.
    """
    if not isinstance(told, dict):
        raise ChannelsError("channels: write a [channels] table with layers, table and patches")
    needed = ("layers", "table", "patches")
    _check(told, needed, needed, "channels")
    layers = told["layers"]
    if not (isinstance(layers, list) and layers and all(isinstance(n, str) for n in layers)):
        raise ChannelsError("channels: layers must be the names of the layers, in order")
    table, patches = (folder / _text(told[name], f"channels: {name}") for name in needed[1:])
    return channel_tables.read(table, patches, tuple(layers), regions, _axes(axes))


def _part(told: object) -> Part:
    if not isinstance(told, dict):
        raise ChannelsError("part: write [[part]], with double brackets")
    name = str(told.get("name", "?"))
    given = _given(Part, told, f"part {name}", {"layers": "layer", "groups": "group"})
    given["layers"] = tuple(_layer(one) for one in _tables(told, "layer", name))
    given["groups"] = tuple(_group(one) for one in _tables(told, "group", name))
    return Part(**given)


def _layer(told: Mapping[str, Any]) -> GridLayer:
    name = f"layer {told.get('name', '?')}"
    given = _given(GridLayer, told, name, {})
    holes = told.get("missing", [])
    if not (isinstance(holes, list) and all(_is_list(hole, int, 4) for hole in holes)):
        raise ChannelsError(
            f"{name}: missing must be a list of [first row, last row, first column, last column]"
        )
    given["missing"] = tuple(tuple(hole) for hole in holes)
    return GridLayer(**given)


def _group(told: Mapping[str, Any]) -> GridGroup:
    return GridGroup(**_given(GridGroup, told, f"group {told.get('name', '?')}", {}))


def _tables(told: Mapping[str, Any], key: str, part: str) -> list[dict[str, Any]]:
    found = told.get(key, [])
    if not (isinstance(found, list) and all(isinstance(one, dict) for one in found)):
        raise ChannelsError(f"part {part}: write each {key} as [[part.{key}]]")
    return found


def _given(
    made: type[Part | GridLayer | GridGroup],
    told: Mapping[str, Any],
    where: str,
    named: Mapping[str, str],
) -> dict[str, Any]:
    """Return the plain fields of a record as a table gives them, checked by what they must be."""
    known = {named.get(f.name, f.name): f for f in fields(made)}
    needed = [key for key, f in known.items() if f.default is MISSING]
    _check(told, tuple(known), tuple(needed), where)
    plain = {key for key in told if key not in named.values() and key != "missing"}
    return {key: _value(key, told[key], str(known[key].type), where) for key in plain}


def _value(key: str, value: object, kind: str, where: str) -> object:
    if kind == "str":
        return _text(value, f"{where}: {key}")
    if kind == "tuple[int, int]" and _is_list(value, int, 2):
        return tuple(value)  # type: ignore[arg-type]
    if kind == "tuple[float, float]" and _is_list(value, int | float, 2):
        return tuple(map(float, value))  # type: ignore[call-overload]
    if kind == "tuple[str, ...]" and isinstance(value, list):
        return tuple(_text(one, f"{where}: {key}") for one in value)
    wanted = {
        "tuple[int, int]": "two whole numbers, [rows, columns]",
        "tuple[float, float]": "two numbers, along rows and along columns",
    }.get(kind, "a list of names")
    raise ChannelsError(f"{where}: {key} is {value!r}, not {wanted}")


def _check(
    told: Mapping[str, Any], known: tuple[str, ...], needed: tuple[str, ...], where: str
) -> None:
    missing = [key for key in needed if key not in told]
    if missing:
        raise ChannelsError(f"{where}: {missing[0]} is missing")
    unknown = [key for key in told if key not in known]
    if unknown:
        raise ChannelsError(f"{where}: unknown key {unknown[0]}; known are {', '.join(known)}")


def _is_list(value: object, kind: Any, n: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == n
        and all(isinstance(one, kind) and not isinstance(one, bool) for one in value)
    )


def _axes(value: object) -> tuple[str, str]:
    if value is None:
        return AXES
    if not (isinstance(value, list) and len(value) == 2):
        raise ChannelsError(f"axes is {value!r}, not two names with their unit")
    first, second = (_text(one, "axes") for one in value)
    return first, second


def _text(value: object, where: str) -> str:
    if not (isinstance(value, str) and value.isprintable()):
        raise ChannelsError(f"{where} is {value!r}, not a text of one line")
    return value
