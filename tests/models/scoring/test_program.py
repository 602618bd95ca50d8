"""Compiled programs: the numbers of the model, the same to the bit in any batch, of models that have one."""

import subprocess
import sys

import numpy as np
import pytest
import tiny
import torch

from models.flows.interface import Features
from models.scoring import agreement, program


@pytest.fixture(scope="module")
def examine():
    return tiny.artefact().scorer("cpu").examine


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compiled")
    path = folder / program.file_name(tiny.artefact().hash)
    tiny.artefact().save(folder / "model")
    words = [sys.executable, "-m", "models.scoring.program", str(folder / "model"), str(path)]
    subprocess.run(words, check=True)
    return program.load(path)


def test_steps_in_new_memory_are_those_of_the_fast_evaluation(examine):
    features, _ = examine.feature_map(tiny.showers(n=64))
    with torch.inference_mode():
        fast, apart = examine.evaluate(features), examine.evaluate.apart(Features(*features[:3]))
    for one, other in zip(fast, apart, strict=True):
        assert one.shape == other.shape
        assert torch.allclose(one, other, atol=1e-4, rtol=1e-5)


@pytest.mark.slow
def test_a_compiled_program_has_the_numbers_of_the_model(examine, compiled):
    showers = tiny.showers(n=700)
    seen = examine.whole(showers, compiled)
    agreement.check(seen, examine.whole(showers, None))
    assert not np.array_equal(seen.latents, examine(showers).latents)  # it is another engine


@pytest.mark.slow
def test_its_numbers_are_the_same_to_the_bit_in_any_batch(examine, compiled):
    showers = tiny.showers(n=1100)
    whole = examine.whole(showers, compiled)
    for begin, end in [(0, 1), (3, 40), (500, 1012), (1, 1100)]:
        part = examine.whole(showers[slice(begin, end)], compiled)
        assert np.array_equal(part.latents, whole.latents[begin:end])
        assert np.array_equal(part.raw, whole.raw[begin:end])


@pytest.mark.slow
def test_what_is_in_force_scores_whole_showers_and_no_others(compiled):
    scorer, mine = (tiny.artefact().scorer("cpu") for _ in range(2))
    mine.examine.compiled = compiled
    showers = tiny.showers(n=64)
    hidden = np.zeros(showers.cells.shape, np.bool_)
    hidden[::2, 40] = True
    ours, theirs = mine.score(showers, None, hidden), scorer.score(showers, None, hidden)
    assert np.array_equal(ours.latents[::2], theirs.latents[::2])
    assert not np.array_equal(ours.latents[1::2], theirs.latents[1::2])
    np.testing.assert_allclose(ours.p, theirs.p, rtol=0.01)


def test_there_is_none_with_a_classifier(examine, monkeypatch):
    monkeypatch.setattr(examine, "classifier", lambda *_: None)
    with pytest.raises(ValueError, match="no program"):
        program.Program(examine)


def test_what_is_compiled_is_of_one_model_on_one_kind_of_machine(monkeypatch):
    mine = program.file_name("a" * 64)
    assert mine != program.file_name("b" * 64)
    assert mine == program.file_name("a" * 64)
    monkeypatch.setattr(program.platform, "machine", lambda: "another")
    assert mine != program.file_name("a" * 64)
