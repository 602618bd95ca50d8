"""calodqm train and apply, as they are typed."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny

from consumers.cli.command import main
from models.fitting import certification
from models.scoring.artefact import Artefact

CONFIG = """
version = "small"
held_out = 0.2
certify = 0.5
condition_cells = 1
head = 0
group = 64
[options]
epochs = 1
batch = 64
flips = ["y"]
[model]
hidden = [8]
latents = 2
coder_hidden = 4
"""


def write(path, showers, **attributes):
    with h5py.File(path, "w") as file:
        file["incident_energies"] = showers.e_inc[:, None]
        file["showers"] = showers.cells
        file.attrs.update(attributes)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("train")
    good = tiny.showers()
    write(path / "good.h5", good[slice(0, 700)])
    write(path / "clean.h5", good[slice(600, 900)], noise_mev=0.0)
    write(path / "test.h5", good[slice(900, 1000)])
    write(path / "mu.h5", tiny.showers("mu", 50))
    (path / "recipe.toml").write_text(CONFIG)
    (path / "number.toml").write_text("options = 3")
    (path / "text.toml").write_text('model = "x"')
    (path / "junk").mkdir()
    (path / "junk" / "checkpoint.safetensors").write_bytes(b"junk")
    return path


def train(folder, *words):
    return main(
        [
            "train",
            str(folder / "good.h5"),
            "--config",
            str(folder / "recipe.toml"),
            "--threads",
            "1",
            *(str(word) for word in words),
        ]
    )


@pytest.fixture(scope="module")
def trained(folder):
    out = folder / "model"
    words = (
        "--out",
        out,
        "--certify",
        folder / "clean.h5",
        "--test",
        folder / "test.h5",
        "--anomaly",
        f"mu={folder / 'mu.h5'}",
        # What is clean here has noise already, and gets more.
        "--despite",
        "latents,calibration",
    )
    assert train(folder, *words) == 0
    return out


@pytest.mark.slow
def test_training_makes_an_artefact_with_a_card(trained):
    made = Artefact.load(trained)
    card = made.card
    # A hundred showers are in both files: training left them out.
    assert card["showers"] == {"train": 480, "held_out": 120, "certify": 300}
    assert card["files"] == ["good.h5", "clean.h5"]
    assert card["held_out"]["showers"] == 100
    assert card["held_out"]["mu"]["auc"]["combined"] > 0.8
    assert 0.8 < card["held_out"]["latent_square"] < 1.3
    assert not (trained / "checkpoint.safetensors").exists()


@pytest.mark.slow
def test_the_same_command_gives_the_same_artefact(folder, trained):
    again = folder / "again"
    words = (
        "--out",
        again,
        "--certify",
        folder / "clean.h5",
        "--test",
        folder / "test.h5",
        "--anomaly",
        f"mu={folder / 'mu.h5'}",
        # What is clean here has noise already, and gets more.
        "--despite",
        "latents,calibration",
    )
    assert train(folder, *words) == 0
    assert Artefact.load(again).hash == Artefact.load(trained).hash


def test_apply_writes_a_row_a_shower_in_order(folder, trained):
    out = folder / "scores.parquet"
    words = ["apply", str(folder / "test.h5"), "--artefact", str(trained), "--out", str(out)]
    assert main(words) == 0
    table = pq.read_table(out)
    good = tiny.showers()[slice(900, 1000)]
    made = Artefact.load(trained)
    names = made.score_names
    expected = ["e_inc", *(f"score_{n}" for n in names), *(f"p_{n}" for n in names), "p"]
    assert table.column_names == expected
    assert np.array_equal(table["e_inc"].to_numpy(), good.e_inc)
    scored = made.scorer("cpu").score(good)
    assert np.allclose(table["p"].to_numpy(), scored.p_combined)
    assert np.allclose(table["score_block"].to_numpy(), scored.scores[:, names.index("block")])
    assert table.schema.metadata[b"calodqm.model"].decode() == made.hash
    assert not out.with_name(out.name + ".partial").exists()


def test_apply_leaves_open_what_cannot_be_known(folder, trained):
    good = tiny.showers()[slice(0, 10)]
    e_inc = good.e_inc.copy()
    e_inc[3] = np.nan
    file = folder / "unknown.h5"
    with h5py.File(file, "w") as h5:
        h5["incident_energies"] = e_inc[:, None]
        h5["showers"] = good.cells
    out = folder / "unknown.parquet"
    assert main(["apply", str(file), "--artefact", str(trained), "--out", str(out)]) == 0
    table = pq.read_table(out)
    for column in ("e_inc", "p_response", "score_response"):
        assert table[column].is_null().to_pylist() == [i == 3 for i in range(10)]
    assert table["p"].null_count == 0


@pytest.mark.slow
def test_showers_that_cannot_be_examined_do_not_cost_the_training(
    folder, trained, monkeypatch, capsys
):
    def refuse(*_):
        raise ValueError("no such showers")

    monkeypatch.setattr(certification, "examined", refuse)
    out = folder / "kept"
    words = ("--out", out, "--certify", folder / "clean.h5", "--test", folder / "test.h5")
    assert train(folder, *words, "--despite", "latents,calibration") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("calodqm train: ")
    assert "no such showers" in error
    kept = Artefact.load(out)
    assert "held_out" not in kept.card
    assert kept.score_map.arrays().keys() == Artefact.load(trained).score_map.arrays().keys()


TEST = ("--test", "{f}/test.h5")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "{f}/none.h5", "--out", "{f}/x"], "none.h5"),
        (["train", "{f}/recipe.toml", "--out", "{f}/x"], "recipe.toml"),
        (["train", "{f}/good.h5", "--out", "{f}/x", "--config", "{f}/none.toml"], "none.toml"),
        (["train", "{f}/good.h5", "--out", "{f}/x", "--epochs", "0"], "epochs"),
        (["train", "{f}/good.h5", "--out", "{f}/x", "--anomaly", "mu", *TEST], "NAME=FILE"),
        (["train", "{f}/good.h5", "--out", "{f}/x", "--anomaly", "mu={f}/mu.h5"], "--test"),
        (["train", "{f}/good.h5", "--out", "{f}/x", "--threads", "0"], "--threads 0"),
        (
            ["train", "{f}/good.h5", "--out", "{f}/x", "--config", "{f}/number.toml"],
            "must be a table",
        ),
        (
            ["train", "{f}/good.h5", "--out", "{f}/x", "--config", "{f}/text.toml"],
            "must be a table",
        ),
        (
            ["train", "{f}/good.h5", "--out={f}/junk", "--config={f}/recipe.toml", "--resume"],
            "not a usable checkpoint",
        ),
        (["train", "{f}/mu.h5", "--out", "{f}/x"], "too few"),
        (["apply", "{f}/good.h5", "--artefact", "{f}", "--out", "{f}/x.parquet"], "config.json"),
        (["apply", "{f}/none.h5", "--artefact", "{m}", "--out", "{f}/x.parquet"], "none.h5"),
        (["apply", "{f}/good.h5", "--artefact", "{m}", "--out", "{f}/no/x.parquet"], "x.parquet"),
    ],
)
def test_wrong_use_ends_in_one_line(folder, trained, capsys, words, says):
    words = [word.format(f=folder, m=trained) for word in words]
    assert main(words) == 2
    *_, error = capsys.readouterr().err.strip().splitlines()
    assert says in error
    assert error.startswith(f"calodqm {words[0]}: ")


@pytest.fixture(scope="module")
def unfit(folder):
    """Return the words that train a model and certify it with showers of twice the noise."""
    good, rng = tiny.showers()[slice(700, 1200)], np.random.default_rng(1)
    noisy = good.cells + rng.normal(0, 2, good.cells.shape).astype(np.float32)
    write(folder / "noisy.h5", replace(good, cells=noisy))
    return ("--out", folder / "unfit", "--certify", folder / "noisy.h5")


@pytest.fixture(scope="module")
def despite(folder, unfit):
    assert train(folder, *unfit, "--resume", "--despite", "latents,calibration") == 0
    return folder / "unfit"


@pytest.mark.slow
def test_a_model_that_does_not_fit_is_not_certified_and_says_why(folder, unfit, capsys):
    assert train(folder, *unfit) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "not certified: latents: mean square of the latents" in said
    assert "--despite latents" in said
    assert "with --resume it need not be trained again" in said
    assert not (folder / "unfit" / "hash").exists()
    assert (folder / "unfit" / "checkpoint.safetensors").exists()


@pytest.mark.slow
def test_an_order_that_names_something_else_does_not_help(folder, unfit):
    assert train(folder, *unfit, "--resume", "--despite", "losses") == 2


@pytest.mark.slow
def test_by_order_it_is_certified_and_its_card_says_what_does_not_fit(despite):
    card = Artefact.load(despite).card
    assert any("mean square of the latents" in text for text in card["despite"])
    assert not list(despite.glob("checkpoint*"))


def test_what_does_not_fit_is_never_announced(despite, capsys):
    assert main(["model", "announce", str(despite)]) == 2
    assert "it does not fit: latents" in capsys.readouterr().err


@pytest.mark.slow
def test_doctor_says_that_a_model_does_not_fit(despite, capsys):
    main(["doctor", "--no-broker", "--json", "--artefact", str(despite)])
    found = {f["what"]: f for f in json.loads(capsys.readouterr().out)}
    assert not found["fit of the model"]["well"]
    assert "mean square of the latents" in found["fit of the model"]["text"]
    main(["doctor", "--no-broker", "--json"])  # of the shipped model
    found = {f["what"]: f for f in json.loads(capsys.readouterr().out)}
    assert found["fit of the model"]["well"]


def test_an_unknown_misfit_is_refused_in_one_line(folder, unfit, capsys):
    with pytest.raises(SystemExit):
        train(folder, *unfit, "--despite", "looks")
    assert "name some of latents, calibration, losses" in capsys.readouterr().err
