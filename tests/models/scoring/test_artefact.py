"""Artefacts: what is loaded is what was saved, and nothing else is loaded."""

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from forged import refused, sign
from safetensors.numpy import load_file, save_file

from models.flows.flux import Flux
from models.scoring.artefact import Artefact, signed
from models.scoring.description import FILES, ArtefactError, Description
from models.scoring.fitness import misfits

SHIPPED = Path(__file__).parents[3] / "models" / "artefacts"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("artefact")
    tiny.artefact().save(path)
    return path


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def test_a_reloaded_artefact_gives_the_same_scores(saved):
    made, again = tiny.artefact(), Artefact.load(saved)
    assert again.hash == made.hash
    assert again.card == made.card
    good = tiny.showers("gamma_test", 100)
    a, b = made.scorer("cpu").score(good), again.scorer("cpu").score(good)
    for name in ("scores", "p", "p_combined", "latents", "condition_cell"):
        assert np.array_equal(getattr(a, name), getattr(b, name))


def test_saving_twice_gives_the_same_files(saved, tmp_path):
    Artefact.load(saved).save(tmp_path)
    for name in (*FILES, "hash"):
        assert (tmp_path / name).read_bytes() == (saved / name).read_bytes()


@pytest.mark.parametrize("name", [*FILES, "hash"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(ArtefactError, match=name):
        Artefact.load(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_found(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(bytes(content))
    with pytest.raises(ArtefactError, match="hash"):
        Artefact.load(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_refused_even_with_the_right_hash(copy, name):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    sign(copy)
    refused(copy)


@pytest.mark.parametrize("name", ["weights.safetensors", "reference.safetensors"])
def test_a_pickle_in_disguise_is_refused_and_not_run(copy, name, tmp_path):
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (type(mark).touch, (mark,))

    (copy / name).write_bytes(pickle.dumps(Evil()))
    sign(copy)
    refused(copy)
    assert not mark.exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(copy, value):
    edit(copy, "weights.safetensors", "flow.encoder.0.bias", lambda w: w * np.float32(value))
    assert "finite" in refused(copy)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("weights.safetensors", "flow.encoder.0.weight"),
        ("weights.safetensors", "features.cell_mean"),
        ("weights.safetensors", "scores.mean"),
        ("reference.safetensors", "latent_moments"),
        ("reference.safetensors", "log_tail"),
    ],
)
def test_arrays_of_another_shape_are_refused(copy, file, name):
    edit(copy, file, name, lambda a: a[..., :-1].copy())
    refused(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "calodqm.artefact/9"},
        {"family": "oracle"},
        {"flow": {}},
        {"flow": None},
        {"flow": [1]},
        {"flow": {"n_cells": 10**9}},
        {"scores": ["a"]},
        {"conditions": ["eta"]},
        {"conditions": "eta"},
        {"classifier": []},
        {"reference": None},
        {"reference": {"showers": float("inf"), "origin": "certified"}},
        {"reference": {"showers": 0, "origin": "certified"}},
        {"reference": {"showers": 1, "origin": "guessed"}},
    ],
)
def test_a_config_that_does_not_fit_is_refused(copy, change):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | change))
    sign(copy)
    refused(copy)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n_layers": 4}, "not (504, 3, 1)"),
        ({"n_context": 2}, "not (504, 3, 1)"),
        ({"n_cells": 2, "group": [0, 1]}, "not (504, 3, 1)"),
        ({"n_layers": 10**12}, "wider"),
        ({"latents": 10**12}, "wider"),
        ({"hidden": [8192] * 60}, "weights, the file has"),
        ({"coder_hidden": 8192}, "weights, the file has"),
    ],
)
def test_a_flow_that_does_not_fit_is_refused_before_it_is_built(copy, change, says, monkeypatch):
    config = json.loads((copy / "config.json").read_text())
    config["flow"] |= change
    (copy / "config.json").write_text(json.dumps(config))
    sign(copy)
    monkeypatch.setattr(Flux, "__init__", lambda *_: pytest.fail("it is built"))
    assert says in refused(copy)


def test_a_reference_of_other_cells_and_layers_is_refused(copy):
    arrays = load_file(copy / "reference.safetensors")  # of as many latents: 503 + 4
    arrays["lit_rate"] = arrays["lit_rate"][:, 1:].copy()
    for name in ("layer_mean", "layer_var"):
        arrays[name] = np.pad(arrays[name], ((0, 0), (0, 1)))
    save_file(arrays, copy / "reference.safetensors")
    sign(copy)
    assert "another model" in refused(copy)


@pytest.mark.parametrize("name", ["cell_mean", "cell_log_scale"])
def test_features_that_could_not_be_scored_with_are_refused(copy, name):
    edit(copy, "weights.safetensors", f"features.{name}", lambda a: a.astype(np.float64))
    assert "float32" in refused(copy)


@pytest.mark.parametrize("text", ["[]", "null", "{", '{"format": 1}', "\x00\xff"])
def test_a_config_that_is_no_config_is_refused(copy, text):
    (copy / "config.json").write_text(text)
    sign(copy)
    refused(copy)


def test_another_detector_is_refused(copy):
    geometry = json.loads((copy / "geometry.json").read_text())
    geometry["layers"] = geometry["layers"][:2]
    (copy / "geometry.json").write_text(json.dumps(geometry))
    sign(copy)
    assert "cells" in refused(copy)


def edit(path, file, name, change):
    arrays = load_file(path / file)
    arrays[name] = change(arrays[name])
    save_file(arrays, path / file)
    sign(path)


def test_an_artefact_that_cannot_be_written_leaves_the_one_that_was_there(copy, monkeypatch):
    before = Artefact.load(copy)
    written = []

    def full(file):
        written.append(file)
        if len(written) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        signed(replace(before, version="other")).save(copy)
    assert Artefact.load(copy).hash == before.hash
    assert sorted(path.name for path in copy.iterdir()) == sorted((*FILES, "hash"))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("n_ref", lambda a: -a),
        ("n_ref", lambda a: a * 0),
        ("count_counts", lambda a: a * 100),
        ("count_counts", lambda a: a - 10**6),
        ("cut_counts", lambda a: a[:, ::-1].copy()),
        ("p_counts", lambda a: -a),
        ("p_counts", lambda a: a * 0),
        ("counts", lambda a: a + 0.5),
        ("counts", lambda a: a * 0),
        ("lit_rate", lambda a: a + 1),
        ("layer_var", lambda a: -a - 1),
        ("latent_moments", lambda a: np.stack([a[0] + 5, *a[1:]])),
    ],
)
def test_references_of_no_population_are_refused(copy, name, change):
    edit(copy, "reference.safetensors", name, change)
    refused(copy)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("scale", lambda a: np.array([a[0], 0 * a[1]])),
        ("limits", lambda a: a[::-1].copy()),
        ("cell_log_scale", lambda a: a * 0 - 200),
        ("core", lambda a: a.astype(np.int8)),
        ("calibration", lambda a: a.astype(np.float16)),
        ("layer_mean", lambda a: a.astype(np.int32)),
    ],
)
def test_features_of_no_showers_are_refused(copy, name, change):
    edit(copy, "weights.safetensors", f"features.{name}", change)
    refused(copy)


def keeping(path, good):
    """Save the tiny artefact with some showers, and return it."""
    made = signed(replace(tiny.artefact(), good=good))
    made.save(path)
    return made


def test_an_artefact_keeps_good_showers_that_no_judge_holds(tmp_path):
    good = tiny.showers("gamma_test", 2000)
    keeps = keeping(tmp_path, good)
    again = Artefact.load(tmp_path)
    assert again.hash == keeps.hash != tiny.artefact().hash
    assert np.array_equal(again.good.cells, good.cells)
    assert np.array_equal(again.good.e_inc, good.e_inc)
    assert tiny.artefact().good is None
    described = Description.load(tmp_path)
    assert described.good is None
    assert not described.weights


def test_kept_showers_too_few_to_teach_are_as_if_there_were_none(tmp_path):
    keeping(tmp_path, tiny.showers("gamma_test", 1999))
    assert Artefact.load(tmp_path).good is None


@pytest.mark.parametrize("load", [Artefact.load, Description.load])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda good: replace(good, cells=good.cells[:, :9]), "9"),
        (lambda good: good[np.arange(9000) % good.n], "up to 2976"),
    ],
)
def test_showers_that_it_cannot_have_kept_are_refused_by_workers_and_judges(
    tmp_path, load, change, says
):
    keeping(tmp_path, change(tiny.showers("gamma_test", 40)))
    with pytest.raises(ArtefactError, match=says):
        load(tmp_path)


@pytest.mark.parametrize("load", [Artefact.load, Description.load])
def test_kept_showers_without_a_condition_that_the_model_needs_are_refused(tmp_path, load):
    made = Artefact.load(SHIPPED / "barrel-flux")
    made.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"conditions": ["eta"]}))
    weights = load_file(tmp_path / "weights.safetensors")
    for name in ("scale", "limits"):
        one = weights[f"features.{name}"]
        weights[f"features.{name}"] = np.concatenate([one, one], axis=1)
    save_file(weights, tmp_path / "weights.safetensors")
    sign(tmp_path)
    with pytest.raises(ArtefactError, match="its showers have no eta, which the model needs"):
        load(tmp_path)


def test_the_shipped_models_load_and_fit():
    for name in ("pb-lar-flux", "pb-lar-caloflow", "barrel-flux", "sampling-flux"):
        assert misfits(Artefact.load(SHIPPED / name)) == ()
