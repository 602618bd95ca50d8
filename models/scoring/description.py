"""Description: all that is known of an artefact without its network; reading it needs no torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from models.detector.geometry import Geometry
from models.detector.geometry import parse as parse_geometry
from models.flows import features
from models.scoring import reference
from models.showers import compact

Made = TypeVar("Made")

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from models.flows.features import FeatureMap
    from models.scoring.reference import ReferenceTable
    from models.showers.batch import Showers

FORMAT = "calodqm.artefact/3"
"""Of what is written: 2 may hold floors of cells that may be unlit, which 1 does not know; since 3
scores do not hang on what is drawn for such cells, but for a classifier's."""

READ = ("calodqm.artefact/1", "calodqm.artefact/2", FORMAT)
"""Formats that are read."""

FILES = (
    "config.json",
    "geometry.json",
    "weights.safetensors",
    "reference.safetensors",
    "card.json",
)
HASH_FILE = "hash"
MAX_BYTES = 1 << 30
"""No file of an artefact is larger; a larger one is not read."""


class ArtefactError(ValueError):
    """A folder that is no usable artefact; one line that says which file and why."""


class Described(Protocol):
    """What an artefact and its description have in common."""

    @property
    def geometry(self) -> Geometry:
        """Return the cells that it is made for."""

    @property
    def feature_map(self) -> FeatureMap:
        """Return its preprocessing."""

    @property
    def score_names(self) -> tuple[str, ...]:
        """Return the names of the S scores."""

    @property
    def reference(self) -> ReferenceTable:
        """Return the population that good is measured against."""

    @property
    def card(self) -> dict[str, Any]:
        """Return the model card."""

    @property
    def family(self) -> str:
        """Return the family of the flow."""

    @property
    def hash(self) -> str:
        """Return the SHA-256 over the files, hex."""

    @property
    def version(self) -> str:
        """Return what people call this model."""


@dataclass(frozen=True, eq=False)
class Description:
    """What a judge needs of a model: everything but its network and what that needs."""

    geometry: Geometry
    feature_map: FeatureMap
    score_names: tuple[str, ...]
    reference: ReferenceTable
    card: dict[str, Any]
    family: str
    hash: str
    """SHA-256 over the files, hex."""

    version: str
    config: dict[str, Any] = field(repr=False)
    """What the file of that name holds, not checked beyond what stands above."""

    weights: dict[str, NDArray[Any]] = field(repr=False)
    """Arrays of the network, the features and the scores, all finite; none once it is described."""

    good: Showers | None = field(repr=False)
    """See `models.scoring.artefact.Artefact.good`; none once it is described."""

    @classmethod
    def load(cls, path: Path) -> Description:
        """Return the description of a folder, or raise `ArtefactError` as `Artefact.load` does."""
        contents, stated = read(path)
        return cls.of_files(contents, stated, str(path))

    @classmethod
    def of_files(cls, contents: Mapping[str, bytes], stated: str, path: str) -> Description:
        """Return the description of the bytes of an artefact's `FILES`; see `Artefact.of_files`."""
        # What is checked here is not refused by a worker; a judge holds nothing that it does not need.
        return replace(checked(parse, contents, stated, path), weights={}, good=None)


def read(path: Path) -> tuple[dict[str, bytes], str]:
    """Return the bytes of an artefact's files, and the hash that they should have."""
    contents = {name: _read(path, name) for name in FILES}
    return contents, _read(path, HASH_FILE).decode("ascii", "replace").strip()


def checked(
    parsed: Callable[[Mapping[str, bytes], str], Made],
    contents: Mapping[str, bytes],
    stated: str,
    path: str,
) -> Made:
    """Return what files of a stated hash are parsed to, or raise `ArtefactError`."""
    digest = digest_of(contents)
    if stated != digest:
        raise ArtefactError(
            f"{path}: the files do not match their hash (stated {stated[:12]}, "
            f"found {digest[:12]}): the artefact is damaged or was edited"
        )
    try:
        return parsed(contents, digest)
    except (
        SafetensorError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        # Errors of geometry, features, scores and reference are ValueErrors too.
        line = " ".join(str(error).split())[:300]
        raise ArtefactError(f"{path}: not a usable artefact: {line}") from None


def parse(contents: Mapping[str, bytes], digest: str) -> Description:
    """Return the description of files whose hash is right; what is wrong raises what it may."""
    config = json.loads(contents["config.json"])
    if not isinstance(config, dict) or config.get("format") not in READ:
        raise ValueError(f'config.json: "format" must be one of {", ".join(READ)}')
    card = json.loads(contents["card.json"])
    if not isinstance(card, dict):
        raise TypeError("card.json must hold an object")
    geometry = parse_geometry(contents["geometry.json"].decode())
    weights = load_tensors(contents["weights.safetensors"])
    for name, array in weights.items():
        if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
            raise ValueError(f"weights {name} are not all finite")
    feature_map = _feature_map(config["conditions"], part(weights, "features"), geometry)
    if feature_map.sparse and config["format"] != FORMAT:
        raise ValueError(
            "it is of cells that may be unlit, whose scores meant something else when it was "
            "certified: train it again"
        )
    score_names = _names(config["scores"])
    table = _reference(config["reference"], load_tensors(contents["reference.safetensors"]))
    found = (table.n_scores, table.lit_rate.shape[-1], table.layer_mean.shape[-1])
    if found != (len(score_names), geometry.n_cells, geometry.n_layers):
        raise ValueError("the reference is of another model")
    good = _good(part(weights, "good"), feature_map, table, geometry)
    family, version = str(config["family"]), str(config["version"])
    of = (geometry, feature_map, score_names, table, card)
    return Description(*of, family, digest, version, config, weights, good)


def digest_of(contents: Mapping[str, bytes]) -> str:
    """Return the hash of an artefact's files."""
    digest = hashlib.sha256()
    for name in FILES:
        digest.update(f"{name} {len(contents[name])}\n".encode())
        digest.update(contents[name])
    return digest.hexdigest()


def _read(path: Path, name: str) -> bytes:
    file = path / name
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise ArtefactError(f"{file}: {size} bytes; no file of an artefact is that large")
        return file.read_bytes()
    except OSError as error:
        raise ArtefactError(f"{file}: {error.strerror or error}") from None


def part(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    """Return the arrays whose names begin with a prefix, without it."""
    start = prefix + "."
    return {k[len(start) :]: v for k, v in arrays.items() if k.startswith(start)}


def _feature_map(
    conditions: Any, arrays: dict[str, NDArray[Any]], geometry: Geometry
) -> FeatureMap:
    feature_map = features.from_arrays(arrays, _names(conditions))
    if (feature_map.n_cells, feature_map.n_layers) != (geometry.n_cells, geometry.n_layers):
        raise ValueError(f"features are of {feature_map.n_cells} cells, not {geometry.n_cells}")
    if not feature_map.cell_mean.dtype == feature_map.cell_log_scale.dtype == np.float32:
        raise TypeError("features of cells must be float32")
    return feature_map


def _reference(config: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> ReferenceTable:
    showers = config["showers"]
    if type(showers) is not int or showers < 1:
        raise ValueError(f"the reference is of {showers!r} showers, which is no count")
    return reference.from_arrays(arrays, showers=showers, origin=config["origin"])


def _good(
    arrays: dict[str, NDArray[Any]], of: FeatureMap, table: ReferenceTable, geometry: Geometry
) -> Showers | None:
    """Return the showers that are kept; None if they are too few to teach anything."""
    if not arrays:
        return None
    good = compact.whole(arrays, geometry.n_cells, geometry.least_count_mev)
    if missing := sorted(set(of.condition_names) - set(good.conditions)):
        raise ValueError(f"its showers have no {', '.join(missing)}, which the model needs")
    return good if good.n >= compact.least(table.n_cells) else None


def _names(value: Any) -> tuple[str, ...]:
    if not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        raise TypeError("config.json: conditions and scores must be lists of names")
    return tuple(value)
