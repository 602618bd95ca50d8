"""A real but very small flux artefact, trained in seconds on the first of the shipped showers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.detector import files as geometries
from models.fitting.recipe import Recipe, prepare
from models.fitting.training import Options, Session
from models.showers import readers, shipped
from models.showers.pool import Pool

if TYPE_CHECKING:
    from models.scoring.artefact import Artefact
    from models.showers.batch import Showers

SHOWERS = shipped.PB_LAR
GEOMETRY = geometries.load(geometries.SHIPPED / "pb-lar-504.json")

RECIPE = Recipe(
    version="tiny",
    options=Options(epochs=2, batch=64, seed=3, flips=("x", "y")),
    held_out=0.1,
    certify=0.4,
    condition_cells=2,
    model={"hidden": (32,), "coder_hidden": 16, "latents": 4},
    head=8,
    group=16,
)


@cache
def showers(name: str = "gamma_train", n: int = 1200) -> Showers:
    """Return the first n showers of a shipped file."""
    return readers.read(SHOWERS / f"{name}.h5", GEOMETRY)[slice(0, n)]


@cache
def artefact() -> Artefact:
    """Return the artefact; made once a process. Its scores are real, its quality is not."""
    good = showers()
    pool = Pool(good, np.zeros(good.n, np.bool_))
    torch.set_num_threads(1)
    return prepare(RECIPE, pool, GEOMETRY, Session())
