"""Lessons: what a classifier of known faults is taught with, and how it learns."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from models.fitting import checkpoint
from models.fitting.checkpoint import TrainingError
from models.fitting.progress import Progress
from models.fitting.whole_numbers import is_whole, whole
from models.scoring.classifier import NAME, Classifier, ClassifierConfig
from models.showers.batch import concatenate
from models.simulation import injection
from models.simulation.fault_form import parse
from models.simulation.faults import STREAM, Fault, FaultError

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.detector.geometry import Geometry
    from models.fitting.training import Session
    from models.flows.interface import Features
    from models.showers.batch import Showers
    from models.showers.pool import Pool
    from models.showers.symmetries import Image


@dataclass(frozen=True, slots=True)
class ClassifierOptions:
    """What a classifier is shown, and how long."""

    faults: tuple[str, ...]
    """Faults, in the form of `models.simulation.fault_form.parse`; each is injected into as many showers. A fault
    that strikes a `share` of the showers at work strikes all of its own here."""

    hidden: tuple[int, ...] = (128,)
    epochs: int = 25
    patience: int = 5
    batch: int = 256
    learning_rate: float = 7e-4
    weight_decay: float = 0.05

    def __post_init__(self) -> None:
        if not self.faults:
            raise TrainingError("a classifier needs the faults that it is to know")
        for text in self.faults:
            try:
                fault = parse(text)
            except FaultError as error:
                raise TrainingError(str(error)) from None
            if fault.kind in STREAM or fault.region:
                raise TrainingError(f"{text}: no single shower of one region shows that")
        whole(self, "epochs", "patience", "batch")
        if not all(is_whole(width) and width > 0 for width in self.hidden):
            raise TrainingError(f"hidden must be a list of whole numbers > 0, not {self.hidden!r}")
        if min(self.epochs, self.patience, self.batch) < 1:
            raise TrainingError("epochs, patience and batch must be >= 1")
        if not (0 < self.learning_rate < 1 and 0 <= self.weight_decay < 1):
            raise TrainingError("learning_rate must lie in (0, 1) and weight_decay in [0, 1)")


class Lesson(NamedTuple):
    """Showers to learn from."""

    features: Features
    latents: Tensor
    struck: Tensor
    """1 for showers with a fault, shape (N,)."""

    def batch(self, index: Tensor) -> Lesson:
        """Return some of the showers."""
        return Lesson(self.features.rows(index), self.latents[index], self.struck[index])


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """Makes lessons: good showers, and as many with faults."""

    geometry: Geometry
    see: Callable[[Showers], tuple[Features, Tensor]]
    """Returns the features and the latents of showers, as at work."""

    faults: tuple[Fault, ...]
    images: tuple[Image, ...]
    """Mirrors of the cells; faults are injected into mirrored showers."""

    def lesson(self, pool: Pool, rng: np.random.Generator) -> Lesson:
        """Return every shower of a pool as it is, and again struck by one of the faults."""
        good = pool.draw(rng.permutation(pool.n), self.geometry, rng, self.images)
        region = np.zeros(good.n, np.uint16)
        parts = np.array_split(np.arange(good.n), len(self.faults))
        struck = [
            injection.apply(_always(fault), good[rows], region[rows], self.geometry, rng, good)
            for fault, rows in zip(self.faults, parts, strict=True)
            if len(rows)
        ]
        features, latents = self.see(concatenate([good, *struck]))
        return Lesson(features, latents, (torch.arange(2 * good.n) >= good.n).to(latents))


def _always(fault: Fault) -> Fault:
    """Return a fault that strikes every shower: what is labelled struck must have been."""
    share = {"share": 1.0} if "share" in fault.magnitudes else {}
    return replace(fault, magnitudes={**fault.magnitudes, **share})


def fit(
    teacher: Teacher,
    train: Pool,
    held_out: Pool,
    options: ClassifierOptions,
    seed: int,
    session: Session,
) -> Classifier:
    """Return a classifier with the weights of the best held-out loss."""
    torch.manual_seed(seed)
    check = teacher.lesson(held_out, np.random.default_rng([seed, 11]))
    cells, layers, conditions = (part.shape[1] for part in check.features[:3])
    config = ClassifierConfig(cells, layers, conditions, options.hidden, options.faults)
    model = Classifier(config)
    path = session.checkpoint_of(NAME)
    digest = b"" if path is None else _digest(teacher, train, config, options, seed, model)
    model.to(session.device)
    parameters = list(model.parameters())
    optimiser = torch.optim.AdamW(
        parameters, lr=options.learning_rate, weight_decay=options.weight_decay
    )
    place, saved = checkpoint.resume(path, digest)
    if saved:
        checkpoint.restore(model, optimiser, parameters, saved)
    best = checkpoint.part(saved, "best") if saved else checkpoint.copied(model)
    while place.epoch < options.epochs and place.since_best < options.patience:
        rng = np.random.default_rng([seed, 12, place.epoch])
        # The rate falls to zero on a cosine, epoch by epoch.
        rate = 0.5 * (1 + math.cos(math.pi * place.epoch / options.epochs))
        optimiser.param_groups[0]["lr"] = options.learning_rate * rate
        mean = _epoch(model, optimiser, teacher.lesson(train, rng), options.batch, rng)
        with torch.no_grad():
            loss = float(_loss(model, check))
        if not math.isfinite(loss):
            raise TrainingError("the held-out loss of the classifier is not finite")
        if loss < place.best:
            best = checkpoint.copied(model)
        place = place.after(loss)
        if path is not None:
            checkpoint.save(
                path, checkpoint.tensors(model, optimiser, parameters, best, place), digest
            )
        session.progress(Progress(NAME, place.epoch, options.epochs, mean, loss, place.best))
    model.load_state_dict(best)
    return model


def _digest(
    teacher: Teacher,
    train: Pool,
    config: ClassifierConfig,
    options: ClassifierOptions,
    seed: int,
    model: Classifier,
) -> bytes:
    """Return what tells these lessons from any other: what they teach, of which showers."""
    seen = train.showers
    digest = hashlib.sha256(repr((config, options, seed, teacher.geometry)).encode())
    first = [value.numpy() for value in model.state_dict().values()]
    with torch.no_grad():
        _, latents = teacher.see(seen[slice(0, 64)])  # of this flow, and no other
    arrays = (seen.cells, seen.e_inc, train.clean, latents.cpu().numpy().round(2), *first)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()


def _epoch(
    model: Classifier,
    optimiser: torch.optim.Optimizer,
    lesson: Lesson,
    batch: int,
    rng: np.random.Generator,
) -> float:
    order = torch.from_numpy(rng.permutation(len(lesson.struck)))
    total = 0.0
    for index in torch.split(order, batch):
        loss = _loss(model, lesson.batch(index))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total += float(loss.detach()) * len(index)
    if not math.isfinite(total):
        raise TrainingError("the loss of the classifier is not finite: lower the learning rate")
    return total / len(order)


def _loss(model: Classifier, lesson: Lesson) -> Tensor:
    odds = model(lesson.features, lesson.latents)
    return binary_cross_entropy_with_logits(odds, lesson.struck)
