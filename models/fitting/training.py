"""Training: fits any flow, phase by phase, with early stopping; resumable to the bit."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.fitting import checkpoint
from models.fitting.checkpoint import Reached, TrainingError
from models.fitting.progress import Losses, Progress
from models.fitting.whole_numbers import whole
from models.showers.pool import dither
from models.showers.symmetries import Symmetry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from models.detector.geometry import Geometry
    from models.flows.features import FeatureMap
    from models.flows.interface import Features, Flow, Phase
    from models.showers.pool import Pool

HELD_OUT_MIN = 50
"""Fewer held-out showers than this cannot tell when to stop."""

STEPS = 100
"""Steps that an epoch has by default, as far as `BATCH` lets it: few showers are no reason to take
few steps."""

BATCH = (32, 256)
"""Showers of a step by default, at least and at most."""


@dataclass(frozen=True, slots=True)
class Options:
    """How long and how fast to train."""

    epochs: int = 60
    """At most, in each phase."""

    patience: int = 8
    """Epochs without a better held-out loss before a phase ends."""

    batch: int | None = None
    """Showers of a step; by default as many as give an epoch `STEPS` steps, within `BATCH`."""

    learning_rate: float = 1e-3
    """At the start; it falls to zero on a cosine over `epochs`."""

    weight_decay: float = 0.0
    seed: int = 1
    flips: tuple[str, ...] = ()
    """Axes, "x" and "y", in which the set-up is mirror symmetric: showers are flipped at random."""

    odd_x: tuple[str, ...] = ()
    """Conditions that change their sign where x does; and `odd_y`."""

    odd_y: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        whole(self, "epochs", "patience", "seed", *([] if self.batch is None else ["batch"]))
        batch = BATCH[0] if self.batch is None else self.batch
        if min(self.epochs, self.patience, batch) < 1 or self.seed < 0:
            raise TrainingError("epochs, patience and batch must be >= 1 and the seed >= 0")
        if not (0 < self.learning_rate < 1 and 0 <= self.weight_decay < 1):
            raise TrainingError("learning_rate must lie in (0, 1) and weight_decay in [0, 1)")
        try:
            _ = self.symmetry
        except ValueError as error:
            raise TrainingError(str(error)) from None

    @property
    def symmetry(self) -> Symmetry:
        """Return the mirrors that the set-up is symmetric under."""
        return Symmetry(self.flips, self.odd_x, self.odd_y)

    def steps(self, n: int) -> int:
        """Return the steps of an epoch over n showers."""
        least, most = BATCH
        return max(1, n // (self.batch or min(max(n // STEPS, least), most)))


CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Session:
    """Where a fit runs and whom it tells."""

    device: torch.device = CPU
    progress: Callable[[Progress], None] = lambda _: None
    """Called after every epoch."""

    checkpoint: Path | None = None
    """Written after every epoch; a fit that finds it goes on where it was, and ends with the same
    weights as one that was never interrupted. One of another training is refused."""

    mixed: bool = False
    """Matrix products in bfloat16, all else in float32; on a GPU only."""

    def __post_init__(self) -> None:
        if self.mixed and self.device.type != "cuda":
            raise TrainingError("mixed precision needs a CUDA device")

    def checkpoint_of(self, part: str) -> Path | None:
        """Return where a part that is fitted after the flow keeps its own checkpoint."""
        path = self.checkpoint
        return None if path is None else path.with_stem(f"{path.stem}-{part}")


def fit(
    flow: Flow,
    feature_map: FeatureMap,
    geometry: Geometry,
    train: Pool,
    held_out: Pool,
    options: Options,
    session: Session,
) -> dict[str, Losses]:
    """Train a flow in place to the weights with the best held-out loss of each phase.

    Returns the losses of the trained flow by phase, on as many showers of either kind.
    """
    if held_out.n < HELD_OUT_MIN:
        raise TrainingError(f"{held_out.n} held-out showers; at least {HELD_OUT_MIN} are needed")
    trainer = _Trainer(flow, feature_map, geometry, train, options, session)
    rng = np.random.default_rng([options.seed, 1])
    check = trainer.batch(held_out, np.arange(held_out.n), rng)
    place, saved = checkpoint.resume(session.checkpoint, trainer.digest)
    for number, phase in enumerate(flow.phases()):
        if number >= place.phase:
            place = place if saved else Reached(number, fell=place.fell)
            place = trainer.run(phase, place, saved, check)
            saved = {}
    rng = np.random.default_rng([options.seed, 7])
    index = rng.permutation(train.n)[: held_out.n]
    known = trainer.batch(train, index, rng)
    return {
        phase.name: trainer.losses(phase, known, check, fell)
        for phase, fell in zip(flow.phases(), place.fell, strict=True)
    }


class _Trainer:
    """The loop over epochs and batches."""

    def __init__(
        self,
        flow: Flow,
        feature_map: FeatureMap,
        geometry: Geometry,
        train: Pool,
        options: Options,
        session: Session,
    ) -> None:
        self.flow, self.feature_map, self.geometry = flow, feature_map, geometry
        self.train, self.options, self.session = train, options, session
        self.images = options.symmetry.images(geometry)
        self.module: nn.Module = flow  # type: ignore[assignment]
        self.digest = b"" if session.checkpoint is None else self._digest()
        self.module.to(session.device)

    def _digest(self) -> bytes:
        """Return what tells this training from any other: options, showers, weights at its start.

        What is computed of them (features) is not in it: another machine may round otherwise.
        """
        names, seen = self.feature_map.condition_names, self.train.showers
        facts = (self.options, self.flow.family, dict(self.flow.config), self.geometry, names)
        digest = hashlib.sha256(repr(facts).encode())
        arrays = [seen.cells, seen.e_inc, self.train.clean, *(seen.conditions[n] for n in names)]
        arrays += [value.cpu().numpy() for value in self.module.state_dict().values()]
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.digest()

    def batch(self, pool: Pool, index: NDArray[np.int64], rng: np.random.Generator) -> Features:
        """Return the features of a draw, de-digitised by half a least count."""
        showers = pool.draw(index, self.geometry, rng, self.images)
        spread = dither(showers.cells.shape, self.geometry, rng)
        own = rng.integers(1 << 63, size=showers.n).astype(np.uint64)  # new ones in every epoch
        features, _ = self.feature_map(showers, spread, own)
        return features.by_shower().to(self.session.device)

    def run(
        self,
        phase: Phase,
        place: Reached,
        saved: dict[str, Tensor],
        check: Features,
    ) -> Reached:
        """Train one phase to its end; return where the next one begins."""
        options = self.options
        parameters = list(phase.parameters)
        optimiser = torch.optim.AdamW(
            parameters, lr=options.learning_rate, weight_decay=options.weight_decay
        )
        if saved:
            checkpoint.restore(self.module, optimiser, parameters, saved)
        else:
            rng = np.random.default_rng([options.seed, 2])
            index = rng.permutation(self.train.n)[:4096]
            phase.begin(self.batch(self.train, index, rng))
        best = checkpoint.part(saved, "best") if saved else checkpoint.copied(self.module)
        while place.epoch < options.epochs and place.since_best < options.patience:
            rng = np.random.default_rng([options.seed, 3, place.phase, place.epoch])
            mean = self._epoch(phase, optimiser, parameters, place.epoch, rng)
            loss = self._loss(phase, check)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the held-out loss of {phase.name} is not finite after epoch "
                    f"{place.epoch + 1}: lower the learning rate, or look for wild showers"
                )
            if loss < place.best:
                best = checkpoint.copied(self.module)
            place = place.after(loss, phase.least_gain, options.epochs)
            # What is told of is saved: who stops a training after a line loses nothing.
            if self.session.checkpoint is not None:
                tensors = checkpoint.tensors(self.module, optimiser, parameters, best, place)
                checkpoint.save(self.session.checkpoint, tensors, self.digest)
            self.session.progress(
                Progress(phase.name, place.epoch, options.epochs, mean, loss, place.best)
            )
        self.module.load_state_dict(best)
        return place.beyond(options.epochs)

    def _epoch(
        self,
        phase: Phase,
        optimiser: torch.optim.Optimizer,
        parameters: list[nn.Parameter],
        epoch: int,
        rng: np.random.Generator,
    ) -> float:
        options = self.options
        order = rng.permutation(self.train.n)
        n_batches = options.steps(len(order))
        total = 0.0
        for b, index in enumerate(np.array_split(order, n_batches)):
            part = (epoch + b / n_batches) / options.epochs
            optimiser.param_groups[0]["lr"] = (
                options.learning_rate * 0.5 * (1 + math.cos(math.pi * part))
            )
            features = self.batch(self.train, index, rng)
            with torch.autocast(self.session.device.type, torch.bfloat16, self.session.mixed):
                loss = phase.loss(features).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            # One shower with a wild cell must not throw the weights off.
            torch.nn.utils.clip_grad_norm_(parameters, 50.0)
            optimiser.step()
            total += float(loss.detach()) * len(index)
        if not math.isfinite(total):
            raise TrainingError(f"the loss of {phase.name} is not finite: lower the learning rate")
        return total / len(order)

    def losses(self, phase: Phase, known: Features, check: Features, fell: float) -> Losses:
        """Return the losses of a phase on showers of the training and on others."""
        train, held_out = (self._each(phase, part) for part in (known, check))
        error = math.hypot(*(float(part.std()) / len(part) ** 0.5 for part in (train, held_out)))
        means, epochs = (float(train.mean()), float(held_out.mean())), self.options.epochs
        return Losses(*means, error, phase.dimensions, epochs, fell)

    def _loss(self, phase: Phase, features: Features) -> float:
        return float(self._each(phase, features).mean())

    @torch.no_grad()
    def _each(self, phase: Phase, features: Features) -> Tensor:
        starts = range(0, len(features.cells), 1024)
        losses = [phase.loss(features.rows(slice(i, i + 1024))) for i in starts]
        return torch.cat(losses).double()
