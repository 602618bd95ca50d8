"""calodqm detector show: what a detector file says, told and drawn; mistakes in one line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from consumers.cli.command import main
from monitor.detector.tree import load
from monitor.display.detector_picture import example_seeds

SHIPPED = Path(__file__).parents[3] / "deploy" / "detectors"
BARREL = str(SHIPPED / "barrel.toml")


@pytest.mark.slow
def test_a_detector_is_told_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "barrel.png"
    words = ["detector", "show", "--detector", BARREL, "--out", str(out), "--mark", "EB-12/card30"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "barrel: 36 regions in 2 sectors" in told
    assert "layer crystals: 61,200 channels, EB-1/1 to EB+18/1700, patch 5 x 5" in told
    assert "groups card: 2,448 of 25 channels" in told
    assert "the patches of 1,440 leave the detector" in told
    assert "EB-12/card30: 25 channels, crystals, eta" in told
    pixels = np.asarray(Image.open(out).convert("RGB")).reshape(-1, 3)
    colours = {tuple(pixel) for pixel in np.unique(pixels, axis=0).tolist()}
    assert {(0xB3, 0, 0), (0xE3, 0x4A, 0x33), (0xFD, 0xBB, 0x84)} <= colours  # the rings
    assert (0x54, 0x27, 0x8F) in colours  # what is marked


def test_what_is_shown_first_is_a_patch_inside_and_one_at_a_border() -> None:
    channels = load(SHIPPED / "sampling.toml").channels
    assert channels is not None
    outside = (channels.patches(example_seeds(channels)) < 0).any(axis=1)
    assert outside.tolist() == [False, True]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--detector", BARREL, "--mark", "EB-99/1"], "no channel or group is named 'EB-99/1'"),
        (["--detector", BARREL, "--seed", "EB-99/1"], "no channel is named 'EB-99/1'"),
        (["--detector", "nowhere.toml"], "nowhere.toml"),
        (["--out", "x.png"], "the file says no channels to be drawn"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["detector", "show", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_known_bad_channels_are_read_and_must_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("channel,from,until,cause\nEB-12/9999,,,dead\n")
    monkeypatch.setenv("CALODQM_KNOWN_BAD", str(bad))
    assert main(["detector", "show", "--detector", BARREL]) == 2
    assert "row 1: no channel or group is named 'EB-12/9999'" in capsys.readouterr().err
