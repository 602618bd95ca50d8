"""Detector files of a service: channels, what is known to be bad, and state that survives a restart."""

from pathlib import Path

import pytest

from consumers.app import detector_files, environment, settings, wiring
from consumers.wire.user_error import UserError
from models.scoring.description import Description

GRID = """
name = "toy"
[[part]]
name = "B"
modules = [1, 2]
wrap = "columns"
[[part.layer]]
name = "crystals"
cells = [4, 3]
patch = [3, 3]
"""


def given(folder: Path, text: str = GRID, **more: str) -> settings.Settings:
    path = folder / "detector.toml"
    path.write_text(text)
    return environment.load({"detector": str(path), **more}, {})


def test_the_state_of_a_judge_is_that_of_the_same_channels(tmp_path: Path) -> None:
    told = Description.load(environment.load({}, {}).artefact)

    def fingerprint(text: str) -> str:
        asked = given(tmp_path, text)
        return wiring.fingerprint_of(asked, told, detector_files.detector_of(asked))

    assert fingerprint(GRID) == fingerprint(GRID)
    assert fingerprint(GRID) != fingerprint(GRID.replace("cells = [4, 3]", "cells = [5, 3]"))
    assert fingerprint(GRID) != fingerprint(GRID + '[[part.group]]\nname="card"\ncells=[2,3]\n')
    assert fingerprint(GRID) != fingerprint(GRID + '[sectors]\nwhole = ["B"]\n')


def test_patches_of_another_form_than_the_model_are_refused_in_one_line(tmp_path: Path) -> None:
    asked = given(tmp_path)
    detector = detector_files.detector_of(asked)
    with pytest.raises(UserError, match=r"detector toy: the channels' layers are .'crystals'"):
        detector_files.check_patches(detector, detector_files.geometry_of(asked))


def test_known_bad_channels_belong_to_the_detector(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("channel,from,until,cause\nB2/3,,,dead\n")
    detector = detector_files.detector_of(given(tmp_path, known_bad=str(bad)))
    assert detector.channels is not None
    assert detector.known_bad is not None
    assert detector.known_bad.at(0).nonzero()[0].tolist() == [detector.channels.find("B2/3")]


def test_known_bad_channels_need_channels(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("channel,from,until,cause\n")
    text = 'name = "toy"\n[[region]]\nid = 0\nname = "A"\nsector = "S"\n'
    with pytest.raises(UserError, match="the detector file says no channels"):
        detector_files.detector_of(given(tmp_path, text, known_bad=str(bad)))
