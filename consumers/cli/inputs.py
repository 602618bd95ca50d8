"""What commands are given: artefacts and recipes, or one line that says what is wrong."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from consumers.wire.user_error import UserError
from models.flows.interface import tuples

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from models.fitting.recipe import Recipe
    from models.scoring.artefact import Artefact
    from models.showers.batch import Showers

OPTIONS = ("epochs", "seed")
"""Names of changes to a recipe that are fields of its options."""


def artefact(path: Path) -> Artefact:
    """Return the artefact of a folder, or raise `UserError`."""
    from models.scoring.artefact import Artefact  # noqa: PLC0415  torch takes seconds
    from models.scoring.description import ArtefactError  # noqa: PLC0415

    try:
        return Artefact.load(path)
    except ArtefactError as error:
        raise UserError(str(error)) from None


def examined(
    made: Artefact,
    good: Showers,
    strange: Mapping[str, Showers],
    *,
    device: str,
    out: Path,
    despite: Collection[str],
) -> Artefact:
    """Return an artefact whose card says what it is worth on showers that it never met.

    Parameters
    ----------
    out
        Where the artefact is saved as it is if these showers are none that can be scored.
    despite
        As of `acceptance.accepted`: a model may fit what it was certified with, and not these.

    Raises
    ------
    UserError
        If the showers cannot be scored; `models.fitting.acceptance.Unfit` if they do not fit.
    """
    from models.fitting import acceptance, certification  # noqa: PLC0415  torch takes seconds

    try:
        found = certification.examined(made, good, strange, device)
    except ValueError as error:
        made.save(out)
        raise UserError(f"{error}; the artefact is saved without figures of --test") from None
    return acceptance.accepted(found, despite)


def recipe(path: Path | None, **changes: Any) -> Recipe:
    """Return the recipe of a TOML file, or the default one, or raise `UserError`.

    Parameters
    ----------
    changes
        Fields of the recipe or of its options; None changes nothing.
    """
    from models.fitting.checkpoint import TrainingError  # noqa: PLC0415
    from models.fitting.lessons import ClassifierOptions  # noqa: PLC0415  torch takes seconds
    from models.fitting.recipe import Recipe  # noqa: PLC0415
    from models.fitting.training import Options  # noqa: PLC0415

    try:
        told = {} if path is None else tomllib.loads(path.read_text(encoding="utf-8"))
        for name in ("options", "model", "classifier"):
            if not isinstance(told.get(name, {}), dict):
                raise UserError(f"{path}: {name} must be a table")
        options = told.pop("options", {})
        for name, value in changes.items():
            if value is not None:
                (options if name in OPTIONS else told)[name] = value
        if "classifier" in told:
            told["classifier"] = ClassifierOptions(**tuples(told["classifier"]))
        told["model"] = tuples(told.get("model", {}))
        return Recipe(options=Options(**tuples(options)), **tuples(told))
    except (
        OSError,
        UnicodeDecodeError,
        tomllib.TOMLDecodeError,
        TypeError,
        RecursionError,
    ) as error:
        raise UserError(f"{path}: {error}") from None
    except TrainingError as error:
        raise UserError(str(error)) from None
