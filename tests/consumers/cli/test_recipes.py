"""The recipes of the shipped models: each is read, and asks for what its family has."""

from dataclasses import fields
from pathlib import Path

import pytest

from consumers.cli import inputs
from models.scoring.artefact import families

RECIPES = sorted((Path(__file__).parents[3] / "models" / "artefacts").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_one(path):
    recipe = inputs.recipe(path)
    shape_of, _ = families()[recipe.family]
    assert set(recipe.model) <= {"preset", *(field.name for field in fields(shape_of))}
