"""Environment: settings from CALODQM_* variables, overruled by the command line."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from consumers.app.settings import PREFIX, ROOT, Settings
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

_LINK = re.compile(
    r"(?:_SERVICE_HOST|_SERVICE_PORT(?:_\w+)?|(?:^|_)PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$"
)
"""Ends of the variables that Kubernetes makes of the Services of a namespace."""

_LINK_VALUE = re.compile(r"(?:tcp|udp|sctp)://\S+:\d+")


def load(given: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings; what is `given` and not None overrules the environment.

    An empty variable is none. Variables of Kubernetes' Services are not ours.

    Raises
    ------
    UserError
        If a value is wrong, or a CALODQM_* variable is one that nothing reads.
    """
    ours = variables(os.environ if environ is None else environ)
    unknown = ours.keys() - Settings.model_fields
    if unknown:
        known = ", ".join(sorted(f"{PREFIX}{name.upper()}" for name in Settings.model_fields))
        raise UserError(f"unknown setting {PREFIX}{min(unknown).upper()}; there are {known}")
    named = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**(ours | named))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        text = str(first["msg"]).removeprefix("Value error, ")
        raise UserError(f"setting {where}: {text}" if where else f"settings: {text}") from None


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what CALODQM_* variables give, in whatever case, by the name of the setting."""
    found = {}
    for variable, value in environ.items():
        name = variable.upper()
        if not name.startswith(PREFIX) or not value.strip():
            continue
        rest = name.removeprefix(PREFIX)
        if _LINK.search("_" + rest) or _LINK_VALUE.fullmatch(value):
            continue
        found[rest.lower()] = value
    return found


def add_arguments(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add an option for each setting named; without it the environment or the default counts."""
    for name in names:
        about = (Settings.model_fields[name].description or "").replace("\n", " ")
        text = f"{about} Default: {PREFIX}{name.upper()}, or {shown(name)}".replace("%", "%%")
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="VALUE", help=text)


def shown(name: str) -> str:
    """Return the default of a setting, in words."""
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        return "one made of host and process"
    default = field.default
    if isinstance(default, Path):
        return str(default.relative_to(ROOT))
    return "none" if default in {None, ""} else str(default)


def from_arguments(args: argparse.Namespace) -> Settings:
    """Return the settings of a command line whose options `add_arguments` added."""
    return load({name: getattr(args, name, None) for name in Settings.model_fields})
