"""A detector of one's own: a geometry file, showers, train, evaluate; nothing is special to ours."""

import json

import pytest

from consumers.cli import command
from models.detector import files as geometries

CRYSTALS = geometries.SHIPPED / "crystals-121.json"
SHOWERS = "gflash:gamma,n={n},low=2000,high=50000,seed={seed}"
RECIPES = {
    "flux": "[model]\nhidden = [32]\ncoder_hidden = 16\nlatents = 4\n",
    "caloflow": "[model]\ncell_hidden = [32]\ncell_blocks = 1\n",
}


@pytest.fixture(params=RECIPES, scope="module")
def artefact(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param)
    recipe = directory / "recipe.toml"
    recipe.write_text(
        f'family = "{request.param}"\ncondition_cells = 2\n[options]\nepochs = 2\nbatch = 64\n'
        f"{RECIPES[request.param]}"
    )
    words = [SHOWERS.format(n=1500, seed=1), f"--geometry={CRYSTALS}", f"--config={recipe}"]
    assert command.main(["train", *words, f"--out={directory}/model", "--threads=1"]) == 0
    return directory / "model"


@pytest.mark.slow
def test_a_model_of_another_geometry_is_trained_and_finds_a_dead_cell(artefact, tmp_path):
    words = [
        f"--artefact={artefact}",
        f"--good={SHOWERS.format(n=400, seed=2)}",
        f"--anomaly=electron={SHOWERS.format(n=200, seed=3).replace('gamma', 'e-')}",
        f"--json={tmp_path / 'figures.json'}",
        "--no-windows",
    ]
    assert command.main(["evaluate", *words]) == 0
    facts = json.loads((tmp_path / "figures.json").read_text())
    auc = {row["name"]: row["scores"]["combined"]["auc"] for row in facts["anomalies"]}
    assert auc["dead core cell"] > 0.98
    assert auc["second photon 40 mm"] > 0.9
    assert 0.4 < auc["electron"] < 0.6  # one layer has no depth to tell them by


@pytest.mark.slow
def test_incident_energies_can_be_forgotten(artefact, tmp_path):
    words = [f"--artefact={artefact}", f"--good={SHOWERS.format(n=300, seed=2)}"]
    out = tmp_path / "figures.json"
    options = ["--unknown-energy", "--no-windows", f"--json={out}"]
    assert command.main(["evaluate", *words, *options]) == 0
    facts = json.loads(out.read_text())
    assert facts["incident energies known"] == 0
    gain = next(row for row in facts["anomalies"] if row["name"] == "gain +10 %")
    assert gain["scores"]["response"]["auc"] < 0.6  # nothing to compare with


@pytest.mark.slow
def test_a_model_of_simulated_showers_is_tuned_on_few_others(artefact, tmp_path):
    recipe = artefact.parent / "recipe.toml"
    words = [SHOWERS.format(n=1000, seed=5), f"--geometry={CRYSTALS}", f"--config={recipe}"]
    tuned = [f"--start={artefact}", f"--out={tmp_path}/tuned", "--epochs=1"]
    assert command.main(["train", *words, *tuned]) == 0
    card = json.loads((tmp_path / "tuned" / "card.json").read_text())
    assert card["started_from"] == (artefact / "hash").read_text().strip()


@pytest.mark.slow
def test_a_model_of_other_cells_is_no_start(artefact, tmp_path, capsys):
    recipe = artefact.parent / "recipe.toml"
    words = ["gflash:gamma,n=1000", f"--config={recipe}", f"--start={artefact}"]
    assert command.main(["train", *words, f"--out={tmp_path}/no"]) == 2
    assert "other cells" in capsys.readouterr().err
