"""Engines of a worker: it goes over to a compiled program that agrees, and to nothing else."""

import logging
import shutil
import threading

import numpy as np
import pytest
import tiny

from consumers.app import engines, environment
from models.scoring import program
from models.scoring.agreement import EngineError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ here"),
]
PATIENCE_S = 300


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A cache that a worker has filled."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        gone_over(tiny.artefact().scorer("cpu"))
    return folder


@pytest.fixture(autouse=True)
def said(caplog):
    caplog.set_level(logging.INFO)
    return caplog


def gone_over(scorer, settings=None):
    """Return whether a scorer goes over to a compiled program."""
    before = set(threading.enumerate())
    engines.compile_aside(tiny.artefact(), scorer, settings or environment.load({}, {}))
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE_S)
    return scorer.compiled


def copied(full, folder, monkeypatch):
    """Return the program in a cache of one's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    shutil.copytree(full / "calodqm", engines.cache())
    return engines.cache() / program.file_name(tiny.artefact().hash)


def test_a_worker_goes_over_to_what_is_compiled_and_scores_the_same(full, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(full))
    monkeypatch.setenv("PATH", "")  # what is there needs no compiler
    scorer, showers = tiny.artefact().scorer("cpu"), tiny.showers(n=500)
    before = scorer.score(showers)
    assert gone_over(scorer)
    after = scorer.score(showers)
    assert not np.array_equal(after.latents, before.latents)
    np.testing.assert_allclose(after.latents, before.latents, atol=1e-3)
    np.testing.assert_allclose(after.p_combined, before.p_combined, rtol=0.01)


def test_without_a_compiler_it_goes_on_as_it_is(tmp_path, monkeypatch, said):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    assert not gone_over(tiny.artefact().scorer("cpu"))
    assert "is evaluated as it is" in said.text
    assert "there is no g++" in said.text
    assert not list(tmp_path.iterdir())  # where nothing can be written, nothing is
    assert all(record.levelno < logging.WARNING for record in said.records)


def test_without_room_for_it_too(tmp_path, monkeypatch, said):
    (tmp_path / "calodqm").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert not gone_over(tiny.artefact().scorer("cpu"))
    assert "is evaluated as it is" in said.text


def test_what_does_not_agree_is_not_taken_nor_made_again(full, tmp_path, monkeypatch, said):
    path = copied(full, tmp_path, monkeypatch)
    of_file = program.load(path)

    def wrong(*given):
        raw, latents = of_file(*given)
        return raw, latents + 0.01

    monkeypatch.setattr(program, "load", lambda _: wrong)
    assert not gone_over(tiny.artefact().scorer("cpu"))
    assert "latents are off by" in said.text
    assert path.exists()  # a second time it would be as wrong


@pytest.mark.parametrize("damage", ["cut", "one byte", "empty"])
def test_a_damaged_program_is_never_run_and_made_anew(full, tmp_path, monkeypatch, said, damage):
    path = copied(full, tmp_path, monkeypatch)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"cut": content[:1000], "one byte": content, "empty": b""}[damage])
    assert not gone_over(tiny.artefact().scorer("cpu"))
    assert "is damaged" in said.text
    assert not path.exists()


@pytest.mark.parametrize("which", ["folder", "file"])
def test_what_others_may_write_to_is_not_run(full, tmp_path, monkeypatch, said, which):
    path = copied(full, tmp_path, monkeypatch)
    {"folder": path.parent, "file": path}[which].chmod(0o777)
    assert not gone_over(tiny.artefact().scorer("cpu"))
    assert "others may write to" in said.text


@pytest.mark.parametrize("given", [{"compile": False}, {"threads": 2}])
def test_settings_may_forbid_it(full, monkeypatch, given):
    monkeypatch.setenv("XDG_CACHE_HOME", str(full))
    assert not gone_over(tiny.artefact().scorer("cpu"), environment.load(given, {}))


def test_a_device_whose_numbers_are_others_is_refused():
    artefact, scorer = tiny.artefact(), tiny.artefact().scorer("cpu")
    engines.check(artefact, scorer)
    (hidden,) = scorer.examine.evaluate.hidden
    hidden.parts = [(rows, last, weight * 1.01) for rows, last, weight in hidden.parts]
    with pytest.raises(EngineError, match="are off by"):
        engines.check(artefact, scorer)
