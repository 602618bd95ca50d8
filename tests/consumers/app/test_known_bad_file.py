"""The file of channels that are known to be bad is read again when it changes."""

import logging
import os
import threading

import numpy as np
import pytest

from consumers.app import known_bad_file
from consumers.app.known_bad_file import KnownBadFile
from models.detector import known_bad
from models.detector.grids import build
from models.detector.parts import GridLayer, Part

CHANNELS = build((Part("B", (1, 1), (GridLayer("crystals", (4, 4), patch=(3, 3)),)),))
HEADER = "channel,from,until,cause\n"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text(HEADER + "B1/1,,,dead\n")
    return path


@pytest.fixture
def said(path):
    return known_bad.load(path, CHANNELS)


def names(said):
    return [CHANNELS.name(channel) for channel in np.flatnonzero(said.at(0))]


def test_a_file_that_changes_is_read_again(path, said):
    file = KnownBadFile(path, CHANNELS, said)
    file.look()
    assert names(said) == ["B1/1"]
    path.write_text(HEADER + "B1/1,,,dead\nB1/6,,,noisy\n")
    file.look()
    assert names(said) == ["B1/1", "B1/6"]
    seeds = np.array([CHANNELS.find("B1/6")], np.uint32)
    assert said.cells(CHANNELS.patches(seeds), np.zeros(1, np.int64))[0, 4]


def test_another_file_in_its_place_is_seen_though_it_is_as_old(path, said):
    file = KnownBadFile(path, CHANNELS, said)
    old = path.stat()
    fresh = path.with_name("fresh.csv")
    fresh.write_text(HEADER + "B1/2,,,dead\n")
    os.utime(fresh, ns=(old.st_atime_ns, old.st_mtime_ns))
    fresh.replace(path)
    file.look()
    assert names(said) == ["B1/2"]


@pytest.mark.parametrize("text", ["channel,from\n", HEADER + "B9/1,,,dead\n", None])
def test_a_file_that_cannot_be_read_changes_nothing_and_is_said_once(path, said, text, caplog):
    file = KnownBadFile(path, CHANNELS, said)
    path.write_text(text) if text is not None else path.unlink()
    with caplog.at_level(logging.WARNING):
        file.look()
        file.look()
    assert names(said) == ["B1/1"]
    (warning,) = caplog.messages
    assert warning.startswith(f"known bad channels stay as they were: {path}")
    path.write_text(HEADER + "B1/3,,,dead\n")
    file.look()
    assert names(said) == ["B1/3"]


def test_a_running_service_looks_by_itself(path, said, monkeypatch):
    monkeypatch.setattr(known_bad_file, "LOOK_S", 0.01)
    stopping, renewed = threading.Event(), threading.Event()
    monkeypatch.setattr(said, "renew", lambda _: renewed.set())
    file = KnownBadFile(path, CHANNELS, said)
    looking = threading.Thread(target=file.follow, args=(stopping,))
    looking.start()
    path.write_text(HEADER)
    assert renewed.wait(10)
    stopping.set()
    looking.join(10)
    assert not looking.is_alive()
