"""Artefact: a trained model with its reference and its card, in one folder of plain files."""

from __future__ import annotations

import json
import os
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save as save_tensors

from models.flows.interface import tuples
from models.scoring import description, scores
from models.scoring.description import FORMAT, HASH_FILE, part
from models.showers.compact import compact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.flows.features import FeatureMap
    from models.flows.interface import Flow, Shape
    from models.scoring.classifier import Classifier
    from models.scoring.reference import ReferenceTable
    from models.scoring.scorer import Scorer
    from models.scoring.scores import ScoreMap
    from models.showers.batch import Showers


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

    good: Showers | None = None
    """Some of the showers that it was certified with, as the detector reads them: what to expect of
    showers without some of their cells is learnt from them. None where they were too few, and in
    artefacts of before."""

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
        from models.scoring.examiner import Examiner  # noqa: PLC0415  breaks no cycle: cost
        from models.scoring.scorer import Scorer, pick_device  # noqa: PLC0415

        where = pick_device(device)
        # The artefact's own flow stays on the CPU, whatever its scorers do.
        flow, known = deepcopy(self.flow), deepcopy(self.classifier)
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
        """Write the folder; an existing artefact there is replaced, once all is written.

        Raises
        ------
        OSError
            If the disk is full, say; an artefact that was there is as it was.
        """
        path.mkdir(parents=True, exist_ok=True)
        contents = _contents(self)
        digest = description.digest_of(contents)
        partial = Path(mkdtemp(prefix=".partial-", dir=path))
        try:
            for name, content in {**contents, HASH_FILE: f"{digest}\n".encode()}.items():
                with (partial / name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            # Nothing is written any more: a crash between two of these is found by the hash.
            for name in (*contents, HASH_FILE):
                (partial / name).replace(path / name)
        finally:
            rmtree(partial)

    @classmethod
    def load(cls, path: Path) -> Artefact:
        """Return the artefact of a folder.

        Raises
        ------
        ArtefactError
            If a file is missing, too large, damaged, of another hash, or holds what cannot be.
        """
        contents, stated = description.read(path)
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
        return description.checked(_parse, contents, stated, path)


def signed(artefact: Artefact) -> Artefact:
    """Return the artefact with the hash of the files it would be saved as.

    Its networks are moved to the CPU, wherever they were trained.
    """
    _module(artefact.flow).to("cpu")
    if artefact.classifier is not None:
        artefact.classifier.to("cpu")
    return replace(artefact, hash=description.digest_of(_contents(artefact)))


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
    if artefact.good is not None:
        good = compact(artefact.good, artefact.geometry.least_count_mev)
        weights |= {f"good.{name}": value for name, value in good.items()}
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


def _parse(contents: Mapping[str, bytes], digest: str) -> Artefact:
    told = description.parse(contents, digest)
    config, weights = told.config, told.weights
    flow = _flow(told.family, config["flow"], part(weights, "flow"), told.feature_map)
    known = _classifier(config.get("classifier"), part(weights, "classifier"), told.feature_map)
    score_map = scores.from_arrays(told.score_names, part(weights, "scores"))
    given = scores.names(flow.stages, residuals=flow.reconstructs, classifier=known is not None)
    if score_map.names != given:
        raise ValueError(f"scores {score_map.names} are not those of the model, {given}")
    return Artefact(
        told.geometry,
        told.feature_map,
        flow,
        score_map,
        told.reference,
        told.card,
        digest,
        told.version,
        known,
        told.good,
    )


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
    _check(shape, state, feature_map, "flow")
    flow = build(shape)
    tensors = {name: torch.from_numpy(value.copy()) for name, value in state.items()}
    _module(flow).load_state_dict(tensors)
    return flow


def _check(
    shape: Shape, state: dict[str, NDArray[Any]], feature_map: FeatureMap, what: str
) -> None:
    """Raise ValueError if a network does not fit: before any memory is taken for it."""
    wanted = (feature_map.n_cells, feature_map.n_layers, feature_map.n_context)
    if shape.inputs != wanted:
        raise ValueError(f"the {what} is of {shape.inputs} cells, layers, conditions, not {wanted}")
    given = sum(value.size for value in state.values() if value.dtype.kind == "f")
    if shape.n_weights > given:
        raise ValueError(f"the {what} asks for {shape.n_weights} weights, the file has {given}")


def _classifier(
    config: dict[str, Any] | None, state: dict[str, NDArray[Any]], feature_map: FeatureMap
) -> Classifier | None:
    if config is None:
        return None
    import torch  # noqa: PLC0415  see `_flow`

    from models.scoring.classifier import Classifier, ClassifierConfig  # noqa: PLC0415

    shape = ClassifierConfig(**tuples(config))
    _check(shape, state, feature_map, "classifier")
    known = Classifier(shape)
    known.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in state.items()})
    return known


def families() -> dict[str, tuple[Callable[..., Shape], Callable[[Any], Flow]]]:
    """Return the config of each model family, and what builds a flow of one, by name."""
    from models.flows.caloflow import CaloFlow  # noqa: PLC0415  see `_flow`
    from models.flows.flux import Flux  # noqa: PLC0415
    from models.flows.shapes import CaloFlowConfig, FluxConfig  # noqa: PLC0415

    return {"flux": (FluxConfig, Flux), "caloflow": (CaloFlowConfig, CaloFlow)}


def _module(flow: Flow) -> torch.nn.Module:
    return flow  # type: ignore[return-value]  # every family is a module
