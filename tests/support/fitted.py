"""Small trainings."""

from models.fitting.recipe import Recipe
from models.fitting.training import Options


def small(epochs=3, **kw):
    return Recipe(
        options=Options(epochs=epochs, batch=64, seed=2, flips=("y",), **kw),
        model={"hidden": (8,), "coder_hidden": 4, "latents": 2},
        head=0,
        group=64,
    )
