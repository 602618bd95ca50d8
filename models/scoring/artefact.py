"""Artefact: a trained model with its reference and its card, in one folder of plain files."""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from models.detector.geometry import Geometry, parse
from models.flows import features
from models.flows.interface import tuples
from models.scoring import reference, scores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from models.flows.features import FeatureMap
    from models.flows.interface import Flow, Shape
    from models.scoring.classifier import Classifier
    from models.scoring.reference import ReferenceTable
    from models.scoring.scorer import Scorer
    from models.scoring.scores import ScoreMap

FORMAT = "calodqm.artefact/1"
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


@dataclass(frozen=True, eq=False)
class Artefact:
    """All that scoring needs, as one value.

    Its hash is that of the files: it names the model in every record that the model leads to.
    """

    geometry: Geometry
    feature_map: FeatureMap
    flow: Flow
    score_map: ScoreMap
    reference: ReferenceTable
    card: dict[str, Any]
    """The model card: data, seeds, held-out figures; see `models.fitting.training`."""

    hash: str
    """SHA-256 over the files, hex."""

    version: str
    """What people call this model."""

    classifier: Classifier | None = None
    """A network that knows some faults, if the model has one."""

    @property
    def family(self) -> str:
        """Return the family of the flow."""
        return self.flow.family

    @property
    def score_names(self) -> tuple[str, ...]:
        """Return the names of the S scores."""
        return self.score_map.names

    def scorer(self, device: str = "auto") -> Scorer:
        """Return the fast evaluation on a device: auto, cpu or cuda."""
        from models.scoring.scorer import Examiner, Scorer, pick_device  # noqa: PLC0415  breaks no cycle: cost

        where = pick_device(device)
        # The artefact's own flow stays on the CPU, whatever its scorers do.
        flow, known = deepcopy(self.flow), deepcopy(self.classifier)
        _module(flow).to(where)
        if known is not None:
            known.to(where)
        examiner = Examiner(self.feature_map, flow, self.geometry, where, known)
        return Scorer(
            examiner,
            self.score_map,
            self.reference,
            self.geometry,
            family=self.family,
            hash=self.hash,
        )

    def save(self, path: Path) -> None:
        """Write the folder; an existing artefact there is replaced."""
        path.mkdir(parents=True, exist_ok=True)
        contents = _contents(self)
        for name, content in contents.items():
            (path / name).write_bytes(content)
        (path / HASH_FILE).write_text(_digest(contents) + "\n", encoding="ascii")

    @classmethod
    def load(cls, path: Path) -> Artefact:
        """Return the artefact of a folder.

        Raises
        ------
        ArtefactError
            If a file is missing, too large, damaged, of another hash, or holds what cannot be.
        """
        contents = {name: _read(path, name) for name in FILES}
        stated = _read(path, HASH_FILE).decode("ascii", "replace").strip()
        return cls.of_files(contents, stated, str(path))

    @classmethod
    def of_files(cls, contents: Mapping[str, bytes], stated: str, path: str) -> Artefact:
        """Return the artefact of the bytes of its `FILES`, wherever they came from.

        Parameters
        ----------
        stated
            The hash that they should have.
        path
            What to call them in an error.

        Raises
        ------
        ArtefactError
            If they are damaged, of another hash, or hold what cannot be.
        """
        digest = _digest(contents)
        if stated != digest:
            raise ArtefactError(
                f"{path}: the files do not match their hash (stated {stated[:12]}, "
                f"found {digest[:12]}): the artefact is damaged or was edited"
            )
        try:
            return _parse(contents, digest)
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


def signed(artefact: Artefact) -> Artefact:
    """Return the artefact with the hash of the files it would be saved as.

    Its networks are moved to the CPU, wherever they were trained.
    """
    _module(artefact.flow).to("cpu")
    if artefact.classifier is not None:
        artefact.classifier.to("cpu")
    return replace(artefact, hash=_digest(_contents(artefact)))


def _contents(artefact: Artefact) -> dict[str, bytes]:
    config: dict[str, Any] = {
        "format": FORMAT,
        "version": artefact.version,
        "family": artefact.family,
        "flow": dict(artefact.flow.config),
        "conditions": list(artefact.feature_map.condition_names),
        "scores": list(artefact.score_names),
        "reference": {
            "showers": artefact.reference.showers,
            "origin": artefact.reference.origin,
        },
    }
    state = _module(artefact.flow).state_dict()
    weights = {f"flow.{name}": value.cpu().numpy() for name, value in state.items()}
    weights |= {f"features.{name}": value for name, value in artefact.feature_map.arrays().items()}
    weights |= {f"scores.{name}": value for name, value in artefact.score_map.arrays().items()}
    if artefact.classifier is not None:
        config["classifier"] = artefact.classifier.config
        known = artefact.classifier.state_dict()
        weights |= {f"classifier.{name}": value.numpy() for name, value in known.items()}
    return {
        "config.json": _json(config),
        "geometry.json": artefact.geometry.to_json().encode(),
        "weights.safetensors": _tensors(weights),
        "reference.safetensors": _tensors(artefact.reference.arrays()),
        "card.json": _json(artefact.card),
    }


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _tensors(arrays: dict[str, NDArray[Any]]) -> bytes:
    return save_tensors({k: np.ascontiguousarray(v) for k, v in sorted(arrays.items())})


def _digest(contents: Mapping[str, bytes]) -> str:
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


def _parse(contents: Mapping[str, bytes], digest: str) -> Artefact:
    config = json.loads(contents["config.json"])
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(f'config.json: "format" must be "{FORMAT}"')
    card = json.loads(contents["card.json"])
    if not isinstance(card, dict):
        raise TypeError("card.json must hold an object")
    geometry = parse(contents["geometry.json"].decode())
    weights = load_tensors(contents["weights.safetensors"])
    for name, array in weights.items():
        if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
            raise ValueError(f"weights {name} are not all finite")
    feature_map = _feature_map(config["conditions"], _part(weights, "features"), geometry)
    flow = _flow(config["family"], config["flow"], _part(weights, "flow"), feature_map)
    known = _classifier(config.get("classifier"), _part(weights, "classifier"), feature_map)
    score_map = scores.from_arrays(_names(config["scores"]), _part(weights, "scores"))
    given = scores.names(flow.stages, residuals=flow.reconstructs, classifier=known is not None)
    if score_map.names != given:
        raise ValueError(f"scores {score_map.names} are not those of the model, {given}")
    table = _reference(config["reference"], load_tensors(contents["reference.safetensors"]))
    found = (table.n_scores, table.lit_rate.shape[-1], table.layer_mean.shape[-1])
    if found != (len(score_map.names), geometry.n_cells, geometry.n_layers):
        raise ValueError("the reference is of another model")
    version = str(config["version"])
    return Artefact(geometry, feature_map, flow, score_map, table, card, digest, version, known)


def _part(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
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


def _names(value: Any) -> tuple[str, ...]:
    if not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        raise TypeError("config.json: conditions and scores must be lists of names")
    return tuple(value)


def _flow(
    family: str,
    config: dict[str, Any],
    state: dict[str, NDArray[Any]],
    feature_map: FeatureMap,
) -> Flow:
    import torch  # noqa: PLC0415  takes seconds; whoever only reads a card need not wait

    if not isinstance(config, dict):
        raise TypeError('config.json: "flow" must hold an object')
    shape_of, build = families()[family]
    shape = shape_of(**tuples(config))
    wanted = (feature_map.n_cells, feature_map.n_layers, feature_map.n_context)
    if shape.inputs != wanted:  # before any memory is taken for it
        raise ValueError(f"the flow is of {shape.inputs} cells, layers, conditions, not {wanted}")
    given = sum(value.size for value in state.values())
    if shape.n_weights > given:
        raise ValueError(f"the flow asks for {shape.n_weights} weights, the file has {given}")
    flow = build(shape)
    tensors = {name: torch.from_numpy(value.copy()) for name, value in state.items()}
    _module(flow).load_state_dict(tensors)
    return flow


def _classifier(
    config: dict[str, Any] | None, state: dict[str, NDArray[Any]], feature_map: FeatureMap
) -> Classifier | None:
    if config is None:
        return None
    import torch  # noqa: PLC0415  see `_flow`

    from models.scoring.classifier import Classifier  # noqa: PLC0415

    shape = (feature_map.n_cells, feature_map.n_layers, feature_map.n_context)
    stated = (config["n_cells"], config["n_layers"], config["n_context"])
    if stated != shape:  # before any memory is taken for it
        raise ValueError(f"the classifier is of {stated} inputs, not {shape}")
    known = Classifier.from_config(config)
    known.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in state.items()})
    return known


def families() -> dict[str, tuple[Callable[..., Shape], Callable[[Any], Flow]]]:
    """Return the config of each model family, and what builds a flow of one, by name."""
    from models.flows.caloflow import CaloFlow, CaloFlowConfig  # noqa: PLC0415  see `_flow`
    from models.flows.flux import Flux, FluxConfig  # noqa: PLC0415

    return {"flux": (FluxConfig, Flux), "caloflow": (CaloFlowConfig, CaloFlow)}


def _module(flow: Flow) -> torch.nn.Module:
    return flow  # type: ignore[return-value]  # every family is a module
