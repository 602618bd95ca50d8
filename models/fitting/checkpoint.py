"""Checkpoint: all that an interrupted fit needs to go on and end with the same weights."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn


class TrainingError(ValueError):
    """Options or showers that a model cannot be trained with."""


class Reached(NamedTuple):
    """Where a fit is after an epoch, but for the weights."""

    phase: int = 0
    epoch: int = 0
    best: float = math.inf
    since_best: int = 0
    halfway: float = math.inf
    """The best loss when half of the epochs were over."""

    fell: tuple[float, ...] = ()
    """What `models.fitting.progress.Losses` says of the phases before."""

    def after(self, loss: float, least_gain: float = 0.0, epochs: int = 1) -> Reached:
        """Return the place after one more epoch of so many, with this held-out loss; see `Phase`."""
        better = loss < (self.best if least_gain == 0 else self.best * (1 - least_gain))
        since, best = 0 if better else self.since_best + 1, min(loss, self.best)
        halfway = best if self.epoch < max(1, epochs // 2) else self.halfway
        return Reached(self.phase, self.epoch + 1, best, since, halfway, self.fell)

    def beyond(self, epochs: int) -> Reached:
        """Return the place after this phase, which had so many epochs."""
        fell = self.halfway - self.best if self.epoch == epochs else 0.0
        return Reached(self.phase + 1, fell=(*self.fell, fell))


_STATE = ("exp_avg", "exp_avg_sq", "step")


def tensors(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    best: dict[str, Tensor],
    place: Reached,
) -> dict[str, Tensor]:
    """Return what a fit with Adam is made of after an epoch, by name."""
    found = {f"now.{name}": value for name, value in module.state_dict().items()}
    found |= {f"best.{name}": value for name, value in best.items()}
    for i, parameter in enumerate(parameters):
        found |= {f"adam.{i}.{key}": optimiser.state[parameter][key] for key in _STATE}
    found["place"] = torch.tensor([*place[:-1], *place.fell], dtype=torch.float64)
    return found


def save(path: Path, found: dict[str, Tensor], digest: bytes) -> None:
    """Write a checkpoint; the last whole one stays until this one is there."""
    found = {**found, "digest": torch.tensor(list(_stamped(digest)), dtype=torch.uint8)}
    partial = path.with_suffix(".partial")
    save_file({name: value.detach().cpu().clone() for name, value in found.items()}, partial)
    partial.replace(path)


def resume(path: Path | None, digest: bytes) -> tuple[Reached, dict[str, Tensor]]:
    """Return the place and the tensors of a checkpoint; the start and none if there is none.

    Raises
    ------
    TrainingError
        If it is damaged, or of another training than that of the digest.
    """
    if path is None or not path.exists():
        return Reached(), {}
    try:
        saved: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"{path}: not a usable checkpoint: {error}") from None
    if "digest" not in saved or bytes(saved["digest"].tolist()) != _stamped(digest):
        raise TrainingError(
            f"{path}: of another training: its recipe, seed, showers or start are not these"
        )
    phase, epoch, best, since, halfway, *fell = saved["place"].tolist()
    return Reached(int(phase), int(epoch), best, int(since), halfway, tuple(fell)), saved


def _stamped(digest: bytes) -> bytes:
    """Return a digest that is of this form of checkpoint, too: one of another is no place to go on."""
    return hashlib.sha256(repr(Reached._fields).encode() + digest).digest()


def restore(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    saved: dict[str, Tensor],
) -> None:
    """Give a module and its optimiser what they had when the tensors were saved."""
    module.load_state_dict(part(saved, "now"))
    for i, parameter in enumerate(parameters):
        optimiser.state[parameter] = {
            key: saved[f"adam.{i}.{key}"].to("cpu" if key == "step" else parameter.device)
            for key in _STATE
        }


def copied(module: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a module as they are now."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def part(saved: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights whose names begin so, without it: "now" or "best"."""
    start = prefix + "."
    return {name[len(start) :]: v for name, v in saved.items() if name.startswith(start)}
